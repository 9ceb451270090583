"""The catalog's file format: one JSON object per model. Pure types; `parse.py` turns bytes into them.

Field names on disk are camelCase and unchanged from the original catalog; ours are optional additions.
`catalog.schema.json` is generated from these types.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

ID_PATTERN = r"^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"
HUB_NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""`owner/name`. Python's `$` lets a final line feed pass: where that matters, match with `re.fullmatch`."""

Id = Annotated[str, Meta(pattern=ID_PATTERN, max_length=63)]
HfModelId = Annotated[str, Meta(pattern=HUB_NAME_PATTERN)]


class Part(Struct, frozen=True, rename="camel", omit_defaults=True, gc=False):
    """Common shape of everything in an entry: camelCase on disk, absent when default.

    `gc=False`: entries are trees, never cycles, and a collection over ten thousand of them holds up the event loop.
    """


class SecretKey(Part, frozen=True):
    name: str
    key: str
    optional: bool = False


class ValueFrom(Part, frozen=True):
    secret_key_ref: SecretKey | None = None
    config_map_key_ref: SecretKey | None = None


class EnvVar(Part, frozen=True):
    name: str
    value: str | None = None
    value_from: ValueFrom | None = None


class Toleration(Part, frozen=True):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class Resources(Part, frozen=True):
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class Vllm(Part, frozen=True):
    tensor_parallel_size: Annotated[int, Meta(ge=1)] | None = None
    dtype: str | None = None
    gpu_memory_utilization: Annotated[float, Meta(gt=0, le=1)] | None = None
    max_model_len: Annotated[int, Meta(ge=1)] | None = None
    trust_remote_code: bool = False
    extra_args: tuple[str, ...] = ()


class SourceFile(Part, frozen=True):
    path: str
    sha256: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    size: Annotated[int, Meta(ge=0)] | None = None


class Source(Part, frozen=True):
    """Weights that are not on the Hub: a `file:`, `https:` or `hf://` URI and the files under it."""

    uri: str
    files: tuple[SourceFile, ...] = ()


class Entry(Part, frozen=True):
    """One model of the catalog."""

    id: Id
    display_name: str | None = None
    hf_model_id: HfModelId | None = None
    served_model_name: str | None = None
    storage_uri: str | None = None
    runtime: str | None = None
    node_selector: dict[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()
    resources: Resources | None = None
    env: tuple[EnvVar, ...] = ()
    storage: dict[str, Any] | None = None
    volumes: tuple[dict[str, Any], ...] = ()
    volume_mounts: tuple[dict[str, Any], ...] = ()
    vllm: Vllm | None = None
    # ours, all optional
    description: str | None = None
    license: str | None = None
    tags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    hf_revision: str | None = None
    files: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    context_length: Annotated[int, Meta(ge=1)] | None = None
    parameters: dict[str, Any] = {}
    task: Literal["chat", "embed"] = "chat"
    pooling: Literal["none", "mean", "cls", "last", "rank"] | None = None
    source: Source | None = None

    @property
    def name(self) -> str:
        """What people read: the display name, else the id."""
        return self.display_name or self.id

    @property
    def served_name(self) -> str:
        """The one name the model server must report at /v1/models."""
        return self.served_model_name or self.hf_model_id or self.id


DECODER = msgspec.json.Decoder(Entry)
"""Made here, by the one thread that imports this. msgspec (0.22) learns a Struct when it is first decoded, and two
threads that do that at the same moment end the process with a segmentation fault."""
