"""The ServingRuntimes a model can be served with: those this package ships, and the operator's own YAML files.

KServe's documents, unchanged: what is written for a cluster works on a single machine, if it names a command.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from model_manager.serving.runtime import ServingRuntime

PACKAGED = Path(__file__).with_suffix("")
MAX_BYTES = 1 << 20
MAX_DEPTH = 64
KINDS = ("ServingRuntime", "ClusterServingRuntime")


class BadRuntime(Exception):
    """Why one file or document is not used, as a sentence."""


def load_runtimes(
    extra: Path | None = None, report: Callable[[str], None] = lambda sentence: None
) -> dict[str, ServingRuntime]:
    """Documents by name. One of the operator's replaces a packaged one of the same name.

    `report` is told a sentence for each file or document that is not used; the others are loaded all the same.
    """
    runtimes = _load_folder(PACKAGED, report)
    if extra is None:
        return runtimes
    if not extra.is_dir():
        report(f"The folder of serving runtimes {extra} does not exist; only the packaged ones are there.")
        return runtimes
    return runtimes | _load_folder(extra, report)


class Runtimes(Mapping[str, ServingRuntime]):
    """`load_runtimes`, done when a runtime is first asked for: YAML takes a tenth of a start, which needs none of it.

    Call `load` early from a thread, so that no event loop has to wait for it.
    """

    def __init__(self, extra: Path | None, report: Callable[[str], None]) -> None:
        self._extra, self._report = extra, report
        self._lock = threading.Lock()
        self._loaded: dict[str, ServingRuntime] | None = None

    def load(self) -> dict[str, ServingRuntime]:
        with self._lock:
            if self._loaded is None:
                self._loaded = load_runtimes(self._extra, self._report)
            return self._loaded

    def __getitem__(self, name: str) -> ServingRuntime:
        return self.load()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.load())

    def __len__(self) -> int:
        return len(self.load())


def _load_folder(folder: Path, report: Callable[[str], None]) -> dict[str, ServingRuntime]:
    loaded: dict[str, ServingRuntime] = {}
    origin: dict[str, str] = {}
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".yaml", ".yml")):
        try:
            for document in _documents(path):
                name = _checked(document, path.name)
                if name in loaded:
                    raise BadRuntime(
                        f"{path.name}: {name!r} is defined in {origin[name]} already; that one is used."
                    )
                loaded[name], origin[name] = document, path.name
        except BadRuntime as e:
            report(str(e))
    return loaded


def _documents(path: Path) -> Iterator[Any]:
    text = _text(path)
    import yaml  # here: a service that serves nothing yet needs no YAML

    loader = _strict_loader()
    try:
        _check_shape(yaml.parse(text, Loader=loader), path.name)
        yield from (document for document in yaml.load_all(text, Loader=loader) if document is not None)
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise BadRuntime(f"{path.name}{line}: {getattr(e, 'problem', None) or 'this is not YAML'}.") from e


def _check_shape(events: Iterable[Any], file: str) -> None:
    """Before anything is built of it: no aliases (nine of them nine times are millions) and a bounded depth."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise BadRuntime(f"{file}: aliases (`*name`) are not read; write the value out.")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise BadRuntime(f"{file}: it is nested more than {MAX_DEPTH} deep.")


def _text(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe would hold up the start
            raise BadRuntime(f"{path.name}: it is not a file.")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise BadRuntime(f"{path.name}: it is larger than 1 MiB.")
        return data.decode("utf-8")
    except OSError as e:
        raise BadRuntime(f"{path.name}: it cannot be read ({e.strerror}).") from e
    except UnicodeDecodeError as e:
        raise BadRuntime(f"{path.name}: it is not UTF-8.") from e


def _strict_loader() -> Any:
    """YAML's safe loader that refuses a key given twice: the last one would win without a word."""
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class StrictLoader(base):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value!r} is given twice", problem_mark=key.start_mark
                    )
                seen.add(key.value if isinstance(key.value, str) else id(key))
            return super().construct_mapping(node, deep)

    return StrictLoader


def _checked(document: Any, file: str) -> str:
    """The document's name, if it is a runtime that can be assembled."""
    if not isinstance(document, dict) or document.get("kind") not in KINDS:
        raise BadRuntime(f"{file}: this is no ServingRuntime (its `kind` says something else).")
    name = (document.get("metadata") or {}).get("name")
    if not isinstance(name, str) or not name:
        raise BadRuntime(f"{file}: the runtime has no `metadata.name`.")
    spec = document.get("spec")
    if not isinstance(spec, dict):
        raise BadRuntime(f"{file}: the runtime {name!r} has no `spec`.")
    _check_formats(spec, file, name)
    _check_container(spec, file, name)
    return name


def _check_formats(spec: dict[str, Any], file: str, name: str) -> None:
    formats = spec.get("supportedModelFormats")
    if not isinstance(formats, list) or not all(
        isinstance(item, dict) and isinstance(item.get("name"), str) for item in formats
    ):
        raise BadRuntime(
            f"{file}: `supportedModelFormats` of {name!r} is not a list of formats with a `name`."
        )


def _check_container(spec: dict[str, Any], file: str, name: str) -> None:
    containers = spec.get("containers")
    if not isinstance(containers, list):
        raise BadRuntime(f"{file}: the runtime {name!r} has no list of `containers`.")
    serving = [
        item for item in containers if isinstance(item, dict) and item.get("name") == "kserve-container"
    ]
    if len(serving) != 1:
        raise BadRuntime(
            f"{file}: the runtime {name!r} has {len(serving)} containers called kserve-container."
        )
    for field in ("command", "args"):
        words = serving[0].get(field, [])
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise BadRuntime(
                f"{file}: `{field}` of {name!r} is not a list of texts; put quotes around numbers, yes and no."
            )
    for field, key in (("env", "name"), ("ports", "containerPort"), ("volumeMounts", "mountPath")):
        items = serving[0].get(field, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) and key in item for item in items):
            raise BadRuntime(f"{file}: `{field}` of {name!r} is not a list of items with a `{key}`.")
    for item in serving[0].get("env", []):
        if not isinstance(item.get("value", ""), str):
            raise BadRuntime(
                f"{file}: the variable {item['name']} of {name!r} is not a text; put quotes around it."
            )
