"""The API's objects. Fields that a newer service adds are ignored.

Written by `python -m tools.client_code` from the API's description: change the routes, not this file.
"""

from typing import Any, Literal

from msgspec import Struct


class Activation(Struct, rename="camel", kw_only=True):
    """One attempt, as shown to users. `result` is None while it is under way; `serving`: requests go to it now."""

    id: str
    slot: str
    model_id: str
    revision: str
    entry_hash: str
    phase: str
    result: str | None
    code: str
    reason: str
    hint: str
    exit_code: int | None
    log_tail: list[str]
    restores: str | None
    restored_by: str | None
    job_id: str | None
    actor: str
    created_at: str
    phase_at: str
    ended_at: str | None
    catalog_moved_on: bool
    serving: bool


class Accepted(Struct, rename="camel", kw_only=True):
    """It is wanted now; `url` tells how it goes on."""

    status: str
    message: str
    activation: Activation
    url: str


class Toleration(Struct, rename="camel", kw_only=True):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class Resources(Struct, rename="camel", kw_only=True):
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class SecretKey(Struct, rename="camel", kw_only=True):
    name: str
    key: str
    optional: bool = False


class ValueFrom(Struct, rename="camel", kw_only=True):
    secret_key_ref: SecretKey | None = None
    config_map_key_ref: SecretKey | None = None


class EnvVar(Struct, rename="camel", kw_only=True):
    name: str
    value: str | None = None
    value_from: ValueFrom | None = None


class Vllm(Struct, rename="camel", kw_only=True):
    tensor_parallel_size: int | None = None
    dtype: str | None = None
    gpu_memory_utilization: float | None = None
    max_model_len: int | None = None
    trust_remote_code: bool = False
    extra_args: list[str] = []


class SourceFile(Struct, rename="camel", kw_only=True):
    path: str
    sha256: str | None = None
    size: int | None = None


class Source(Struct, rename="camel", kw_only=True):
    """Weights that are not on the Hub: a `file:`, `https:` or `hf://` URI and the files under it."""

    uri: str
    files: list[SourceFile] = []


class Entry(Struct, rename="camel", kw_only=True):
    """One model of the catalog."""

    id: str
    display_name: str | None = None
    hf_model_id: str | None = None
    served_model_name: str | None = None
    storage_uri: str | None = None
    runtime: str | None = None
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    resources: Resources | None = None
    env: list[EnvVar] = []
    storage: dict[str, Any] | None = None
    volumes: list[dict[str, Any]] = []
    volume_mounts: list[dict[str, Any]] = []
    vllm: Vllm | None = None
    description: str | None = None
    license: str | None = None
    tags: list[str] = []
    aliases: list[str] = []
    hf_revision: str | None = None
    files: list[str] = []
    args: list[str] = []
    context_length: int | None = None
    parameters: dict[str, Any] = {}
    task: Literal["chat", "embed"] = "chat"
    pooling: Literal["cls", "last", "mean", "none", "rank"] | None = None
    source: Source | None = None


class Applied(Struct, rename="camel", kw_only=True):
    """What became of the InferenceService `name`: created, updated, deleted or already_deleted."""

    action: str
    name: str


class Activated(Struct, rename="camel", kw_only=True):
    """It is served and verified."""

    status: str
    message: str
    model: Entry
    activation: Activation
    inferenceservice: Applied


class ActivationList(Struct, rename="camel", kw_only=True):
    """`next` is the cursor of the following page, null on the last one."""

    activations: list[Activation]
    next: str | None = None


class Active(Struct, rename="camel", kw_only=True):
    """`none` with a message, or `active` with the InferenceService of the verified model."""

    status: Literal["active", "none"]
    slot: str
    message: str | None = None
    model_id: str | None = None
    inferenceservice: dict[str, Any] | None = None


class AuthInfo(Struct, rename="camel", kw_only=True):
    """Always on here: for clients of the original, which could do without."""

    enabled: bool


class CatalogInfo(Struct, rename="camel", kw_only=True):
    """Where the catalog comes from and how fresh it is. `problems` counts them; `/catalog/problems` lists them."""

    root: str
    models_dir: str
    count: int
    last_refresh: str | None
    kind: str
    revision: str
    age_seconds: float
    ready: bool
    error: str | None
    stale_since: str | None
    problems: int


class Problem(Struct, rename="camel", kw_only=True):
    """One thing to put right in the catalog.

    `file` is relative to the catalog's root; `line` and `column` (in characters) count from 1;
    `field` is a dotted path such as `vllm.maxModelLen`, "" for the file as a whole. An `error` keeps
    something from being served as written, a `warning` does not."""

    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str = ""
    severity: Literal["error", "warning"] = "error"


class CatalogView(Struct, rename="camel", kw_only=True):
    """Where the catalog comes from and how fresh it is. `kind` is folder, link (git-sync's) or git.

    `revision` was swapped in at `loadedAt`; `ageSeconds` ago the source last confirmed that it is the newest. While
    the source fails, `error` and `hint` say why, and `staleSince` since when. `count` is of models."""

    source: str
    kind: str
    revision: str
    loaded_at: str | None
    age_seconds: float
    ready: bool
    count: int
    error: str | None
    hint: str
    stale_since: str | None
    problems: list[Problem]


class Deactivated(Struct, rename="camel", kw_only=True):
    status: str
    message: str
    result: Applied


class Deleted(Struct, rename="camel", kw_only=True):
    status: str
    message: str


class HistoryEvent(Struct, rename="camel", kw_only=True):
    """One line of the history; ids grow with time. `subject` is the slot, job, activation or folder it is about."""

    id: str
    event: str
    subject: str
    actor: str
    created_at: str
    model_id: str | None = None
    metadata: dict[str, Any] | None = None


class EventPage(Struct, rename="camel", kw_only=True):
    """Events, oldest first. `next` is the `after` to ask with for those that follow."""

    events: list[HistoryEvent]
    next: str


class ForeignFolder(Struct, rename="camel", kw_only=True):
    """Something on the volume that is not ours: shown, never touched."""

    path: str
    size_bytes: int
    size_human: str


class Health(Struct, rename="camel", kw_only=True):
    status: str = "ok"


class History(Struct, rename="camel", kw_only=True):
    """`next` is the cursor of the following page, null on the last one."""

    events: list[HistoryEvent]
    next: str | None = None


class InstalledFile(Struct, rename="camel", kw_only=True):
    """One verified file: path below the folder, bytes, SHA-256 of its content."""

    path: str
    size: int
    sha256: str


class JobPayload(Struct, rename="camel", kw_only=True):
    """What the job is about."""

    model_id: str | None = None
    hf_model_id: str | None = None
    revision: str | None = None
    target: str | None = None
    overwrite: bool = False


class JobProgress(Struct, rename="camel", kw_only=True):
    """`rate` in bytes per second; `eta` in seconds, when it can be told."""

    bytes_done: int
    bytes_total: int | None
    rate: float | None
    eta: float | None
    file: str | None


class JobView(Struct, rename="camel", kw_only=True):
    """A job. `error`, `error_code` and `hint` say why the latest attempt failed; `progress` is there while it runs."""

    id: str
    type: str
    key: str
    status: Literal["cancelled", "completed", "failed", "pending", "running"]
    cancelling: bool
    payload: JobPayload
    progress: JobProgress | None
    result: dict[str, Any] | None
    error: str | None
    error_code: str | None
    hint: str | None
    attempts: int
    crashes: int
    actor: str
    created_at: str
    updated_at: str


class JobList(Struct, rename="camel", kw_only=True):
    """`next` is the cursor of the following page, null on the last one."""

    jobs: list[JobView]
    next: str | None = None


class JobLog(Struct, rename="camel", kw_only=True):
    job_id: str
    lines: list[str]


class ManifestOf(Struct, rename="camel", kw_only=True):
    manifest: dict[str, Any]
    model: Entry


class ModelSummary(Struct, rename="camel", kw_only=True):
    """One line of `GET /models`: the original's four fields first, then ours."""

    id: str
    display_name: str
    hf_model_id: str | None = None
    runtime: str | None = None
    served_model_name: str | None = None
    task: str = "chat"
    description: str | None = None
    license: str | None = None
    tags: list[str] = []
    aliases: list[str] = []
    context_length: int | None = None
    stale: bool = False


class Problems(Struct, rename="camel", kw_only=True):
    revision: str
    problems: list[Problem]


class Queued(Struct, rename="camel", kw_only=True):
    status: str
    job: JobView


class Readiness(Struct, rename="camel", kw_only=True):
    """`status` is `ready` or `not_ready`; `reasons` are sentences."""

    status: str
    reasons: list[str] = []


class Refreshed(Struct, rename="camel", kw_only=True):
    status: str
    message: str
    revision: str
    models: list[ModelSummary]
    problems: list[Problem]


class Slot(Struct, rename="camel", kw_only=True):
    """A slot: what is desired of it, and what serves. `state` is `empty`, `active`, `failed` or the phase under way.

    `reason` says why the desired model does not serve now ("" when it does, or is just on its way);
    `last_failure` is what a user last asked for, if that failed, whatever serves instead."""

    name: str
    state: str
    desired: Activation | None
    serving: str | None
    last_good: str | None
    in_flight: int
    reason: str
    last_failure: Activation | None


class SlotList(Struct, rename="camel", kw_only=True):
    slots: list[Slot]


class SlotLog(Struct, rename="camel", kw_only=True):
    slot: str
    lines: list[str]


class StateInfo(Struct, rename="camel", kw_only=True):
    """`enabled` is for clients of the original, which could do without; `sqlite` is the library's version."""

    path: str
    enabled: bool
    sqlite: str


class WeightsInfo(Struct, rename="camel", kw_only=True):
    path: str
    pvc_name: str


class WeightInfo(Struct, rename="camel", kw_only=True):
    """One installed folder. `used_by` names the slots that need it, `entry` the catalog entry it was made for."""

    path: str
    name: str
    size_bytes: int
    size_human: str
    modified_time: str
    file_count: int
    source: dict[str, Any]
    revision: str
    entry: str | None
    installed_at: str
    installed_by: str
    used_by: list[str]


class Usage(Struct, rename="camel", kw_only=True):
    """`total`, `used` and `available` are the file system's; `installed` is what our weights take of it."""

    total_bytes: int
    total_human: str
    used_bytes: int
    used_human: str
    available_bytes: int
    available_human: str
    installed_bytes: int
    installed_human: str
    model_count: int
    models: list[WeightInfo]


class SystemInfo(Struct, rename="camel", kw_only=True):
    version: str
    platform: str
    started_at: str
    slots: list[str]
    catalog: CatalogInfo
    weights: WeightsInfo
    state: StateInfo
    auth: AuthInfo
    storage: Usage
    recent_jobs: list[JobView]
    recent_history: list[HistoryEvent]
    problems: list[str]


class WeightDetails(Struct, rename="camel", kw_only=True):
    path: str
    name: str
    size_bytes: int
    size_human: str
    modified_time: str
    file_count: int
    source: dict[str, Any]
    revision: str
    entry: str | None
    installed_at: str
    installed_by: str
    used_by: list[str]
    files: list[InstalledFile]


class WeightList(Struct, rename="camel", kw_only=True):
    weights: list[WeightInfo]
    not_ours: list[ForeignFolder]
