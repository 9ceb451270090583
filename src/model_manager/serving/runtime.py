"""InferenceService + ServingRuntime → the container that KServe's controller and the kubelet would start.

Pure. The steps and their order are KServe's own; where it would report a reason in `modelStatus`, the error raised
here carries the same word as `data["reason"]`.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

from model_manager.errors import Unprocessable
from model_manager.serving.expansion import expand, expand_environment, fill_placeholders
from model_manager.serving.merge import merge
from model_manager.serving.platform import Manifest

ServingRuntime = dict[str, Any]
"""A ServingRuntime or ClusterServingRuntime, as JSON."""

Engine = Literal["vllm", "llama-cpp"]

MODEL_PATH = "/mnt/models"
"""Where KServe mounts the weights; of `pvc://claim/a/b` the folder `a/b` itself lies here."""

ENGINE_ANNOTATION = "model-manager/engine"
"""On a ServingRuntime: whose command line its container speaks (`vllm` or `llama-cpp`)."""

API_KEY_ANNOTATION = "model-manager/api-key-env"
"""On a ServingRuntime: the variable its server reads a bearer key from. The local platform sets it, new per start."""

WEIGHTS_ANNOTATION = "model-manager/weights-folder"
"""On an InferenceService: the installed weights' folder below the store's root, whatever `storageUri` says."""

_NOT_OF_THE_CONTAINER = frozenset(
    {"modelFormat", "runtime", "runtimeVersion", "protocolVersion", "storageUri", "storage", "confidential"}
)
_POD_FIELDS = ("nodeSelector", "affinity", "tolerations", "volumes", "imagePullSecrets")


class Probe(Struct, frozen=True):
    """How a container is asked whether it is well. No `path`: a TCP connection is enough. Times in seconds."""

    path: str | None = None
    port: int = 8080
    period: int = 10
    timeout: int = 1
    failure_threshold: int = 3
    initial_delay: int = 0


class Mount(Struct, frozen=True):
    """`source` is the weights' `storageUri` or the name of a pod volume."""

    path: str
    source: str
    read_only: bool = True


class Unresolved(Struct, frozen=True):
    """A variable whose value only the cluster knows; `source` names the kind, as in `secretKeyRef hf-token/token`."""

    name: str
    source: str
    optional: bool = False


class Container(Struct, frozen=True):
    """What to start. `args` and `env` are complete; `entry_args` and `entry_env` are the part the catalog gave."""

    runtime: str
    engine: Engine
    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    entry_args: tuple[str, ...]
    entry_env: tuple[tuple[str, str], ...]
    unresolved: tuple[Unresolved, ...]
    ports: tuple[int, ...]
    readiness: Probe
    startup: Probe | None
    liveness: Probe | None
    mounts: tuple[Mount, ...]
    resources: dict[str, Any]
    pod: dict[str, Any]
    storage_uri: str | None
    weights_folder: str | None
    api_key_env: str | None
    working_dir: str | None = None
    model_path: str = MODEL_PATH


def engine_of(name: str, runtime: ServingRuntime | None) -> Engine:
    """Whose command line a runtime speaks: by annotation, else by its formats, else by its name, else vLLM's.

    The last is how the original treated every runtime; a catalog written for it relies on that.
    """
    said = _annotations(runtime).get(ENGINE_ANNOTATION)
    if said in ("vllm", "llama-cpp"):
        return "vllm" if said == "vllm" else "llama-cpp"
    formats = {str(format_.get("name", "")).lower() for format_ in _formats(runtime)}
    if "vllm" in formats or "vllm" in name.lower():
        return "vllm"
    return "llama-cpp" if "gguf" in formats or "llama" in name.lower() else "vllm"


def assemble(
    manifest: Manifest, runtimes: Mapping[str, ServingRuntime], fields: Mapping[str, str] | None = None
) -> Container:
    """The container of a rendered InferenceService.

    `fields` answers `valueFrom.fieldRef` by field path (`status.podIP`). Raises Unprocessable with KServe's reason:
    RuntimeNotRecognized, RuntimeDisabled, NoSupportingRuntime or InvalidPredictorSpec.
    """
    metadata, predictor = manifest["metadata"], manifest["spec"]["predictor"]
    model = predictor["model"]
    name = model.get("runtime", "")
    runtime = _find(name, runtimes)
    _check_format(name, runtime, model["modelFormat"])
    own = {key: value for key, value in model.items() if key not in _NOT_OF_THE_CONTAINER}
    base = _serving_container(name, runtime)
    merged = merge(base, own)
    merged["args"] = [*base.get("args", ()), *own.get("args", ())]
    filled = fill_placeholders(merged, metadata)
    pairs, unresolved = _environment(filled.get("env", ()), {**_own_fields(metadata), **(fields or {})})
    env = expand_environment([*pairs, ("INFERENCE_SERVICE_NAME", metadata["name"])])
    from_entry = {item["name"] for item in own.get("env", ())}
    args = tuple(expand(arg, env) for arg in filled["args"])
    ports = {port.get("name", ""): int(port["containerPort"]) for port in reversed(filled.get("ports", ()))}
    first = int(filled["ports"][0]["containerPort"]) if ports else 8080
    return Container(
        runtime=name,
        engine=engine_of(name, runtime),
        image=filled.get("image", ""),
        command=tuple(expand(word, env) for word in filled.get("command", ())),
        args=args,
        env=tuple(env.items()),
        entry_args=args[len(base.get("args", ())) :],
        entry_env=tuple((name, value) for name, value in env.items() if name in from_entry),
        unresolved=unresolved + _whole_sources(filled),
        ports=tuple(int(port["containerPort"]) for port in filled.get("ports", ())) or (first,),
        readiness=_probe(filled.get("readinessProbe"), ports, first) or Probe(port=first),
        startup=_probe(filled.get("startupProbe"), ports, first),
        liveness=_probe(filled.get("livenessProbe"), ports, first),
        mounts=_mounts(model.get("storageUri"), metadata, filled),
        resources=filled.get("resources", {}),
        pod=_pod(runtime, predictor),
        storage_uri=model.get("storageUri"),
        weights_folder=_annotations(manifest).get(WEIGHTS_ANNOTATION),
        api_key_env=_annotations(runtime).get(API_KEY_ANNOTATION),
        working_dir=filled.get("workingDir"),
    )


def _annotations(document: Mapping[str, Any] | None) -> dict[str, Any]:
    return ((document or {}).get("metadata") or {}).get("annotations") or {}


def _formats(document: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    return ((document or {}).get("spec") or {}).get("supportedModelFormats") or []


def _find(name: str, runtimes: Mapping[str, ServingRuntime]) -> ServingRuntime:
    if name not in runtimes:
        raise Unprocessable(
            f"There is no serving runtime called {name!r}."
            if name
            else "The model names no serving runtime.",
            f"Runtimes here: {', '.join(sorted(runtimes)) or 'none'}. Name one as the entry's `runtime`.",
            reason="RuntimeNotRecognized",
        )
    runtime = runtimes[name]
    if runtime["spec"].get("disabled"):
        raise Unprocessable(
            f"The serving runtime {name!r} is disabled.",
            "Remove `disabled: true` from it, or name another `runtime` in the catalog entry.",
            reason="RuntimeDisabled",
        )
    return runtime


def _check_format(name: str, runtime: ServingRuntime, wanted: Mapping[str, Any]) -> None:
    """By name; by version too where the model states one and not otherwise."""
    formats = _formats(runtime)
    for offered in formats:
        if offered["name"] == wanted["name"] and wanted.get("version") in (None, offered.get("version")):
            return
    raise Unprocessable(
        f"The serving runtime {name!r} does not support the model format {wanted['name']!r}.",
        f"It lists: {', '.join(str(offered['name']) for offered in formats) or 'none'}."
        f" Add `- name: {wanted['name']}` to its `supportedModelFormats`.",
        reason="NoSupportingRuntime",
    )


def _serving_container(name: str, runtime: ServingRuntime) -> dict[str, Any]:
    for container in runtime["spec"].get("containers", ()):
        if container.get("name") == "kserve-container":
            return dict(container)
    raise Unprocessable(
        f"The serving runtime {name!r} has no container called kserve-container.",
        "KServe starts the model in that container; rename the runtime's container.",
        reason="InvalidPredictorSpec",
    )


def _own_fields(metadata: Mapping[str, Any]) -> dict[str, str]:
    return {"metadata.namespace": metadata.get("namespace", "")}


def _environment(
    items: list[dict[str, Any]], fields: Mapping[str, str]
) -> tuple[list[tuple[str, str]], tuple[Unresolved, ...]]:
    pairs, unresolved = [], []
    for item in items:
        source = item.get("valueFrom")
        path = str(((source or {}).get("fieldRef") or {}).get("fieldPath", ""))
        if not source:
            pairs.append((item["name"], item.get("value", "")))
        elif path in fields:
            pairs.append((item["name"], fields[path]))
        else:
            unresolved.append(_unresolved(item["name"], source))
    return pairs, tuple(unresolved)


def _unresolved(name: str, source: Mapping[str, Any]) -> Unresolved:
    kind, reference = next(iter(source.items()))
    where = reference.get("fieldPath") or "/".join(
        str(reference[part]) for part in ("name", "key") if part in reference
    )
    return Unresolved(name, f"{kind} {where}".strip(), bool(reference.get("optional")))


def _whole_sources(container: Mapping[str, Any]) -> tuple[Unresolved, ...]:
    return tuple(_unresolved("envFrom", source) for source in container.get("envFrom", ()))


def _probe(probe: Mapping[str, Any] | None, ports: Mapping[str, int], first: int) -> Probe | None:
    """None too for kinds that mean something inside the container only (`exec`)."""
    if not probe:
        return None
    how = probe.get("httpGet") or probe.get("tcpSocket")
    if not how:
        return None
    port = how.get("port", first)
    return Probe(
        path=how.get("path", "/") if "httpGet" in probe else None,
        port=ports.get(port, first) if isinstance(port, str) and not port.isdigit() else int(port),
        period=probe.get("periodSeconds", 10),
        timeout=probe.get("timeoutSeconds", 1),
        failure_threshold=probe.get("failureThreshold", 3),
        initial_delay=probe.get("initialDelaySeconds", 0),
    )


def _mounts(
    storage_uri: str | None, metadata: Mapping[str, Any], container: Mapping[str, Any]
) -> tuple[Mount, ...]:
    writable = (metadata.get("annotations") or {}).get("storage.kserve.io/readonly") == "false"
    weights = (Mount(MODEL_PATH, storage_uri, read_only=not writable),) if storage_uri else ()
    return weights + tuple(
        Mount(mount["mountPath"], mount["name"], bool(mount.get("readOnly")))
        for mount in container.get("volumeMounts", ())
    )


def _pod(runtime: ServingRuntime, predictor: Mapping[str, Any]) -> dict[str, Any]:
    """Pod-level fields: the predictor's over the runtime's (selectors merged, tolerations replaced)."""
    base = {key: runtime["spec"][key] for key in _POD_FIELDS if key in runtime["spec"]}
    return merge(base, {key: predictor[key] for key in _POD_FIELDS if key in predictor})
