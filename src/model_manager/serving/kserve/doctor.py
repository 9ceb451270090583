"""Whether a cluster has what this service and its models need, each thing with the command that mends it."""

from collections.abc import Mapping

from model_manager.errors import ModelManagerError
from model_manager.serving.findings import Finding, gathered, of_error
from model_manager.serving.kserve import gpus, installed, rights, versions
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.kinds import CLUSTER_RUNTIMES, NODES, RUNTIMES, name_of
from model_manager.serving.kserve.lookup import Lookup
from model_manager.serving.kserve.preflight import Preflight
from model_manager.serving.platform import Manifest
from model_manager.serving.runtimes import PACKAGED


async def examine(api: Api, preflight: Preflight, manifests: Mapping[str, Manifest]) -> list[Finding]:
    """The cluster, this service's rights in it, and what these manifests (by model) need of it."""
    try:
        version = await api.version()
    except ModelManagerError as error:
        return [Finding("kubernetes", "fail", error.sentence, error.hint, "kubectl get --raw /readyz")]
    lookup = Lookup(api)
    return [
        Finding(
            "kubernetes", "ok", f"Kubernetes {version.get('gitVersion', 'of an unknown version')} answers."
        ),
        *await installed.kinds(api),
        await _kserve(api),
        await installed.knative(api),
        *await rights.review(api),
        *await _claim(preflight, lookup),
        await _runtimes(api.namespace, lookup),
        await _gpus(lookup),
        *await _models(preflight, lookup, manifests),
    ]


async def _kserve(api: Api) -> Finding:
    """Its version and mode, as its admission shows them; while that does not answer, nothing can be applied."""
    seen = await versions.look(api)
    if seen.trouble:
        hint, command = (
            "Look at KServe's controller, whose webhooks were asked.",
            "kubectl -n kserve get pods",
        )
        return Finding("kserve", "warn", f"KServe's admission cannot be asked: {seen.trouble}", hint, command)
    said = f"KServe {seen.kserve} serves in {seen.default_mode} mode where none is asked for."
    return Finding("kserve", "ok", said)


async def _claim(preflight: Preflight, lookup: Lookup) -> list[Finding]:
    """The one that weights are installed to. Whether it can be written is seen where it is mounted."""
    if not preflight.claim:
        return []
    name = f"claim:{preflight.claim}"
    try:
        return [await preflight.bound(preflight.claim, lookup, name)]
    except ModelManagerError as error:
        return [of_error(name, error)]


async def _runtimes(namespace: str, lookup: Lookup) -> Finding:
    names: set[str] = set()
    for kind in (RUNTIMES, CLUSTER_RUNTIMES):
        try:
            names |= {name_of(item) for item in await lookup.list_all(kind)}
        except ModelManagerError as error:
            if kind is RUNTIMES:
                return of_error("runtimes", error)
    if names:
        return Finding("runtimes", "ok", f"There are serving runtimes: {', '.join(sorted(names))}.")
    return Finding(
        "runtimes", "fail", "The cluster has no serving runtime.", "Apply one of those that this package has.",
        f"kubectl -n {namespace} apply -f {PACKAGED / 'llama-cpp.yaml'}",
    )  # fmt: skip


async def _gpus(lookup: Lookup) -> Finding:
    """Allocatable, whoever uses them now."""
    try:
        nodes = await lookup.list_all(NODES)
    except ModelManagerError as error:
        return of_error("gpus", error)
    there = [f"{one.total} {one.resource} on {one.place}" for one in gpus.count(nodes, None) if one.total]
    if there:
        return Finding("gpus", "ok", f"GPUs can be had: {', '.join(there)}.")
    return Finding(
        "gpus", "warn", f"None of the {len(nodes)} nodes offers a GPU.",
        "Models that ask for one cannot start: look at the device plugin of the GPU's vendor.",
        "kubectl describe nodes",
    )  # fmt: skip


async def _models(preflight: Preflight, lookup: Lookup, manifests: Mapping[str, Manifest]) -> list[Finding]:
    """What all of them need. Weights that are not there are installed before a model starts."""
    try:
        looks = [(model, await preflight.look(manifest, lookup)) for model, manifest in manifests.items()]
    except ModelManagerError as error:
        return [of_error("models", error)]
    return gathered(
        (model, one) for model, findings in looks for one in findings if one.name != "local-cache"
    )
