"""The platform of a cluster: InferenceServices applied, and what their pods say of them.

`observe` answers from copies of what is there, kept by watches, so that it costs no request, and what serves goes on
serving while the API server is away. Nothing is remembered across a restart: what runs is recognised by its labels.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from msgspec import structs

from model_manager.errors import Conflict, Forbidden, ModelManagerError, NotFound, Unavailable
from model_manager.serving.evidence import Evidence
from model_manager.serving.findings import Finding, of_error
from model_manager.serving.kserve import diagnose, doctor, evidence, gpus, ownership
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.applying import Applying, described_deletion, mode_of
from model_manager.serving.kserve.kinds import (
    EVENTS,
    INFERENCE_SERVICES,
    PODS,
    Object,
    is_leaving,
    items,
    labels,
    mapping,
    metadata,
    model_of,
    name_of,
    uid_of,
)
from model_manager.serving.kserve.mirror import USUAL, Mirror, Watching
from model_manager.serving.kserve.pods import (
    CONTAINER,
    SERVICE_LABEL,
    Address,
    activation_of,
    age,
    by_pod_ip,
    container_status,
    ended,
    instances,
    of_service,
)
from model_manager.serving.kserve.preflight import Preflight
from model_manager.serving.kserve.runtimes import WatchedRuntimes
from model_manager.serving.kserve.versions import Versions
from model_manager.serving.platform import (
    ACTIVATION_LABEL,
    ClusterInfo,
    Difference,
    Manifest,
    Observed,
    Trouble,
    is_adoption,
)
from model_manager.serving.runtime import ServingRuntime

log = logging.getLogger(__name__)

_NOTHING: tuple[Observed, list[Object]] = (Observed(), [])
"""What is told of a name under which nothing is."""

Run = Callable[[str, Callable[[], Awaitable[None]]], None]
"""Runs a task for ever, under a name."""


class KServePlatform:
    """Implements `Platform`. Belongs to one event loop; `start` begins its watches.

    `address` says where a pod's model server is reached. `repair`: what others change in our objects is put back as it
    was; else it is shown alone. `packaged`: runtimes as this package has them, for those that the cluster may not be
    asked for.
    """

    name = "kserve"

    def __init__(
        self, api: Api, preflight: Preflight, *, address: Address = by_pod_ip, repair: bool = True,
        packaged: Mapping[str, ServingRuntime] = MappingProxyType({}), watching: Watching = USUAL,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._api, self._preflight, self._address, self._clock = api, preflight, address, clock
        self._callbacks: list[Callable[[str], None]] = []
        self._told: dict[str, tuple[Observed, list[Object]]] = {}
        self._since: dict[str, tuple[str, str, float]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._services = Mirror(api, INFERENCE_SERVICES, self._service_changed, watching, {})
        self._pods = Mirror(api, PODS, self._pod_changed, watching, {"labelSelector": SERVICE_LABEL})
        self._events = Mirror(api, EVENTS, self._event_changed, watching, {"fieldSelector": "type=Warning"})
        self._applying = Applying(api, self._services, self._pods, force=repair)
        self.runtimes = WatchedRuntimes(api, packaged, self._runtime_changed, watching)
        self._versions = Versions(api, clock)

    def start(self, run: Run | None = None) -> None:
        """Begin to watch; `run` keeps each watch going (by default as tasks of our own)."""
        for mirror in (self._services, self._pods, self._events, *self.runtimes.mirrors):
            if run is not None:
                run(f"the watch of {mirror.kind.plural}", mirror.run)
            else:
                self._tasks.append(asyncio.create_task(mirror.run(), name=f"watch {mirror.kind.plural}"))

    def problems(self) -> list[str]:
        """A sentence for each watch that does not go on now."""
        watches = (self._services, self._pods, self._events)
        told = [mirror.trouble.sentence for mirror in watches if mirror.trouble is not None]
        return list(dict.fromkeys([*told, *self.runtimes.problems()]))

    # -- the port -----------------------------------------------------------------------------------------

    async def check(self, manifest: Manifest) -> None:
        await self._applying.refuse_foreign(manifest)
        if is_adoption(manifest):
            return  # it runs already
        await self._preflight.check(manifest)
        await self._applying.dry_run(manifest)

    async def dry_run(self, manifest: Manifest) -> list[Finding]:
        try:
            findings = await self._preflight.look(manifest)
        except ModelManagerError as error:
            return [of_error("cluster", error)]
        try:
            await self._applying.refuse_foreign(manifest)
            await self._applying.dry_run(manifest)
        except Forbidden as forbidden:  # known well enough: what may not be applied is not served
            return [*findings, Finding("admission", "fail", forbidden.sentence, forbidden.hint)]
        except ModelManagerError as error:
            return [*findings, of_error("admission", error)]
        return [*findings, Finding("admission", "ok", "The cluster would accept the InferenceService.")]

    async def examine(self, manifests: Mapping[str, Manifest]) -> list[Finding]:
        return await doctor.examine(self._api, self._preflight, manifests)

    async def apply(self, manifest: Manifest) -> None:
        await self._applying.apply(manifest)

    async def delete(self, name: str) -> None:
        try:
            found = await self._api.get(INFERENCE_SERVICES, name)
        except NotFound:
            return
        if is_leaving(found) or ownership.activation_of(found) is None:
            return
        try:
            answer = await self._api.delete(INFERENCE_SERVICES, name, uid_of(found))
        except (NotFound, Conflict):  # it is gone already, or another one has its name
            return
        if is_leaving(answer):
            self._services.put(answer)
        else:
            self._services.drop(found)

    async def observe(self, name: str) -> Observed:
        for mirror in (self._services, self._pods):
            if not mirror.complete.is_set():
                await self._complete(mirror)
        return self._observed(name)

    def drift(self, manifest: Manifest) -> tuple[Difference, ...]:
        service = self._services.get(manifest["metadata"]["name"])
        if service is None or labels(service).get(ACTIVATION_LABEL) != labels(manifest).get(ACTIVATION_LABEL):
            return ()
        return ownership.drift(service, manifest)

    async def applied(self, name: str) -> Manifest | None:
        service = self._services.get(name)
        return None if service is None else ownership.as_applied(service)

    async def foreign(self, name: str) -> Manifest | None:
        found = await self._applying.current(name)
        return found if found is not None and ownership.activation_of(found) is None else None

    async def release(self, name: str) -> None:
        await self._applying.release(name)

    async def logs(self, name: str, lines: int) -> list[str]:
        pods = self._pods_of(name)
        if not lines or not pods:
            return []
        pod = max(pods, key=age)
        status = container_status(pod)
        try:
            found = await self._api.log(name_of(pod), CONTAINER, lines)
            if len(found) < lines and ended(status) and "running" in mapping(status.get("state")):
                before = await self._api.log(name_of(pod), CONTAINER, lines, previous=True)
                found = [*before, *found][-lines:]
        except Forbidden:
            raise
        except ModelManagerError as error:
            log.debug("no log of %s: %s", name_of(pod), error.sentence)
            return []
        return found

    async def evidence(self, name: str) -> Evidence:
        service = self._services.get(name) or {}
        adopted = ownership.adopted_for(service) or ""
        free, unknown = await gpus.look(self._api)
        return Evidence(
            evidence.conditions(service),
            tuple(evidence.pod(pod, adopted) for pod in self._pods_of(name)),
            evidence.warnings(name, self._events.all()),
            free,
            (*self.problems(), *unknown),
        )

    async def cluster(self) -> ClusterInfo | None:
        found = await self._versions.known()
        modes = {name_of(service): mode_of(service) for service in self._services.all()}
        return structs.replace(found, modes={name: mode for name, mode in modes.items() if mode})

    def on_change(self, callback: Callable[[str], None]) -> None:
        self._callbacks.append(callback)

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._versions.aclose()
        await self._api.aclose()

    # -- what the copies say ------------------------------------------------------------------------------

    async def _complete(self, mirror: Mirror) -> None:
        """The first list takes a moment after the start; what keeps it away is said."""
        try:
            await asyncio.wait_for(mirror.complete.wait(), 0.0 if mirror.trouble else 2.0)
        except TimeoutError:
            trouble = mirror.trouble or Unavailable("The Kubernetes API server has not answered yet.")
            raise Unavailable(trouble.sentence, trouble.hint) from trouble

    def _observed(self, name: str) -> Observed:
        service = self._services.get(name)
        activation = adopted = None
        if service is not None:
            activation, adopted = ownership.activation_of(service), ownership.adopted_for(service)
            if is_leaving(service) or self._applying.is_stopped(service):
                activation = None
        pods = self._pods_of(name)
        return Observed(
            activation,
            instances(pods, adopted or "", self._address),
            self._trouble(
                name,
                service,
                [pod for pod in pods if activation_of(pod, adopted or "") == activation],
                activation,
            ),
        )

    def _pods_of(self, name: str) -> list[Object]:
        return of_service(self._pods.all(), name)

    def _trouble(
        self, name: str, service: Object | None, pods: list[Object], activation: str | None
    ) -> Trouble | None:
        if service is None or is_leaving(service):
            self._since.pop(name, None)
            return None if service is None else Trouble("deleting", described_deletion(service))
        told = diagnose.find(service, self._pods_of(name), pods, self._events.all())
        if told is None and (gone := self.runtimes.is_gone(service)):
            told = diagnose.of_lost_runtime(gone), service
        if told is None:
            self._since.pop(name, None)
            return None
        # KServe may still say of the next activation what was true of the one before: patience begins anew.
        found, key = told[0], f"{activation} {uid_of(told[1])}"
        before = self._since.get(name)
        if before is None or before[:2] != (key, found.code):
            before = self._since[name] = (key, found.code, self._clock())
        final = self._clock() - before[2] >= found.patience
        return Trouble(found.code, found.sentence, found.hint, final)

    # -- what is called back ------------------------------------------------------------------------------

    def _service_changed(self, item: Object) -> None:
        self._changed(name_of(item))

    def _pod_changed(self, item: Object) -> None:
        self._changed(str(labels(item).get(SERVICE_LABEL)))

    def _runtime_changed(self, item: Object) -> None:
        """KServe starts the pods of a changed runtime again, and goes on with those of one that is gone."""
        for service in self._services.all():
            if model_of(service).get("runtime") == name_of(item):
                log.info("the serving runtime %s of the slot %s has changed", name_of(item), name_of(service))
                self._changed(name_of(service))

    def _event_changed(self, item: Object) -> None:
        about = str(mapping(item.get("involvedObject")).get("name"))
        for service in self._services.all():
            if about.startswith(name_of(service)):
                self._changed(name_of(service))

    def _changed(self, name: str) -> None:
        """Much of what the watches tell changes nothing for a slot."""
        written = metadata(self._services.get(name) or {}).get("managedFields")
        now = self._observed(name), [one for one in items(written) if not one.get("subresource")]
        if now == self._told.get(name, _NOTHING):
            return
        if now == _NOTHING:
            del self._told[name]
        else:
            self._told[name] = now
        for callback in self._callbacks:
            callback(name)
