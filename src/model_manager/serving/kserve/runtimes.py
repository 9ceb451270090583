"""The ServingRuntimes of a cluster, kept true by watches: those of the namespace, and behind them those of all.

What the cluster cannot be asked for (yet, or at all) is as this package ships it.
"""

from collections.abc import Callable, Iterator, Mapping

from model_manager.errors import Forbidden
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.kinds import CLUSTER_RUNTIMES, RUNTIMES, Object, model_of, name_of
from model_manager.serving.kserve.mirror import Mirror, Watching
from model_manager.serving.runtime import ServingRuntime


class WatchedRuntimes(Mapping[str, ServingRuntime]):
    """By name, as KServe finds them. `changed` is called with each that came, changed or went."""

    def __init__(
        self, api: Api, packaged: Mapping[str, ServingRuntime], changed: Callable[[Object], None],
        watching: Watching,
    ) -> None:  # fmt: skip
        self.mirrors = tuple(
            Mirror(api, kind, changed, watching, {}) for kind in (RUNTIMES, CLUSTER_RUNTIMES)
        )
        self._packaged = packaged

    def __getitem__(self, name: str) -> ServingRuntime:
        for mirror in self.mirrors:
            if (found := mirror.get(name)) is not None:
                return found
        return self._packaged[name]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys([*(name_of(item) for item in self._watched()), *self._packaged])

    def __len__(self) -> int:
        return len(list(iter(self)))

    def is_gone(self, service: Object) -> str:
        """The runtime that an InferenceService names and the cluster has not; "" where that is not known for sure."""
        name = model_of(service).get("runtime")
        if not isinstance(name, str) or any(
            mirror.trouble is not None or not mirror.complete.is_set() for mirror in self.mirrors
        ):
            return ""
        return "" if any(mirror.get(name) for mirror in self.mirrors) else name

    def problems(self) -> list[str]:
        """Not to be allowed to see those of the whole cluster is how many clusters want it, and no problem."""
        namespaced, of_cluster = (mirror.trouble for mirror in self.mirrors)
        told = [namespaced, None if isinstance(of_cluster, Forbidden) else of_cluster]
        return [error.sentence for error in told if error is not None]

    def _watched(self) -> list[Object]:
        return [item for mirror in self.mirrors for item in mirror.all()]
