"""Making an InferenceService the wanted one: whose it is, how the cluster wants it, and one step at a time.

Every step looks at the object as it is now, since others write it too; what takes its time (a deletion, pods that
stop) is answered with Unavailable, and whoever asked asks again.
"""

import copy
import logging
from collections.abc import Iterator
from contextlib import contextmanager

from model_manager.errors import Conflict, NotFound, Unavailable, Unprocessable
from model_manager.serving.kserve import ownership
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.kinds import (
    INFERENCE_SERVICES,
    Object,
    annotations,
    is_leaving,
    labels,
    mapping,
    metadata,
    model_of,
    name_of,
    uid_of,
)
from model_manager.serving.kserve.mirror import Mirror
from model_manager.serving.kserve.pods import has_ended, of_service
from model_manager.serving.kserve.refusals import AnotherOne
from model_manager.serving.platform import ACTIVATION_LABEL, ADOPT_ANNOTATION, Manifest, is_adoption

log = logging.getLogger(__name__)

MODE = "serving.kserve.io/deploymentMode"
STOP = "serving.kserve.io/stop"
_CLASS = "serving.kserve.io/autoscalerClass"
_OLD_NAMES = {"Standard": "RawDeployment"}
"""How KServe before 0.16 called the modes."""


class Applying:
    """`force`: take fields back from others who own them; else that is a Conflict."""

    def __init__(self, api: Api, services: Mirror, pods: Mirror, *, force: bool) -> None:
        self._api, self._services, self._pods, self._force = api, services, pods, force
        self._names: dict[str, str] = {}

    async def refuse_foreign(self, manifest: Manifest) -> Object | None:
        """The object that is there, if it may be written. Raises Conflict naming who wrote it if it is not ours."""
        found = await self.current(manifest["metadata"]["name"])
        if found is None or ownership.is_ours(found) or is_adoption(manifest):
            return found
        writers = ", ".join(ownership.managers(found)) or "somebody else"
        raise Conflict(
            f"The InferenceService {name_of(found)} was made by {writers}, not by this service.",
            f"Take it over with `model-manager slots adopt {name_of(found)}`, or delete it.",
            managers=ownership.managers(found), cause="not_ours",
        )  # fmt: skip

    async def current(self, name: str) -> Object | None:
        try:
            return await self._api.get(INFERENCE_SERVICES, name)
        except NotFound as missing:
            if type(missing) is not NotFound:
                raise  # the cluster has no such kind
            return None

    async def dry_run(self, manifest: Manifest) -> None:
        """Raises what the cluster's admission would say of it, and changes nothing."""
        found = await self.current(manifest["metadata"]["name"])
        if not (is_adoption(manifest) or (found is not None and is_leaving(found))):
            with _looking_again(manifest):
                await self._send(self._prepared(manifest, found), force=self._takes(found), dry_run=True)

    async def apply(self, manifest: Manifest) -> None:
        found = await self.refuse_foreign(manifest)
        if found is not None and is_leaving(found):
            self._services.put(found)
            raise Unavailable(described_deletion(found), "It is waited for.", retry_after=1)
        with _looking_again(manifest):
            if found is not None and is_adoption(manifest) and ownership.activation_of(found) is None:
                await self._adopt(found, manifest)
                return
            if found is not None and mode_of(found) == "Knative":
                await self._stop_others(found, manifest)
            self._services.put(await self._send(self._prepared(manifest, found), force=self._takes(found)))

    def is_stopped(self, service: Object) -> bool:
        return str(annotations(service).get(STOP, "")).lower() == "true"

    # -- the steps ----------------------------------------------------------------------------------------

    def _takes(self, found: Object | None) -> bool:
        """Where nothing was, nothing can be taken back: who makes one of the same name meanwhile keeps it."""
        return self._force and found is not None

    async def _send(self, body: Manifest, *, force: bool, dry_run: bool = False) -> Object:
        try:
            return await self._api.apply(INFERENCE_SERVICES, body, dry_run=dry_run, force=force)
        except Unprocessable as refused:
            mode = annotations(body).get(MODE, "")
            if "raw deployment mode" not in refused.sentence or mode not in _OLD_NAMES:
                raise
            log.info("this cluster's KServe is older than 0.16: its deployment modes have other names")
            self._names = _OLD_NAMES
            return await self._send(self._renamed(body), force=force, dry_run=dry_run)

    def _prepared(self, manifest: Manifest, found: Object | None) -> Manifest:
        """As this cluster wants it: the mode of an existing object cannot be changed, and modes have old names.

        With the UID of what was found: another one of its name is not written to.
        """
        body = copy.deepcopy(manifest)
        body["metadata"] |= {"namespace": self._api.namespace} | ({"uid": uid_of(found)} if found else {})
        notes = body["metadata"].setdefault("annotations", {})
        notes.pop(ADOPT_ANNOTATION, None)
        if found is not None and mode_of(found) == "Knative":
            notes |= {MODE: "Knative", STOP: "false"}
            notes.pop(_CLASS, None)  # Knative scales by its own; one replica is said in the spec
            body["spec"]["predictor"].pop("deploymentStrategy", None)
        return self._renamed(body)

    def _renamed(self, body: Manifest) -> Manifest:
        notes = body["metadata"].get("annotations") or {}
        if notes.get(MODE) in self._names:
            notes[MODE] = self._names[notes[MODE]]
        return body

    async def _stop_others(self, found: Object, manifest: Manifest) -> None:
        """A Knative service starts the new revision beside the old one, which a single GPU cannot hold.

        So everything is stopped, its pods are waited for, and only then the new model is asked for.
        """
        if labels(found).get(ACTIVATION_LABEL) == labels(manifest)[ACTIVATION_LABEL]:
            return
        name = name_of(found)
        pods = of_service(self._pods.all(), name)
        if not [pod for pod in pods if not has_ended(pod)]:
            return
        if not self.is_stopped(found):
            stop = {"metadata": {"uid": uid_of(found), "annotations": {STOP: "true"}}}
            self._services.put(await self._api.merge(INFERENCE_SERVICES, name, stop))
        raise Unavailable(
            f"{len(pods)} pods of the old model are still stopping.", "They are waited for.", retry_after=1
        )

    async def _adopt(self, found: Object, manifest: Manifest) -> None:
        """Mark the object as ours without changing it: we become a second manager of a value it has already.

        Labels and annotations of an InferenceService are copied to its pods, so that any new one would restart them.
        """
        name = mapping(model_of(found).get("modelFormat")).get("name")
        shared: Object = {"model": {"modelFormat": {"name": name}}} if name else {}
        if not shared:
            raise Unprocessable(
                f"The InferenceService {name_of(found)} is of a kind that cannot be taken over.",
                "Only those with `predictor.model` can be; delete it and activate the model instead.",
            )
        body = _identity(found)
        body["spec"] = {"predictor": shared}
        mark = ownership.ADOPTER + labels(manifest)[ACTIVATION_LABEL]
        self._services.put(await self._api.apply(INFERENCE_SERVICES, body, manager=mark))
        uids = [uid_of(pod) for pod in of_service(self._pods.all(), name_of(found))]
        log.info("took over %s with its pods %s", name_of(found), ", ".join(uids) or "(none)")

    async def release(self, name: str) -> None:
        """Take our mark off an object that was taken over; the value that it shared is the others' still."""
        found = await self.current(name)
        activation = None if found is None else ownership.adopted_for(found)
        if found is not None and activation is not None:
            mark = ownership.ADOPTER + activation
            self._services.put(await self._api.apply(INFERENCE_SERVICES, _identity(found), manager=mark))


@contextmanager
def _looking_again(manifest: Manifest) -> Iterator[None]:
    """What was deleted or made anew between a look and a write is looked at again: whose is it now?"""
    try:
        yield
    except AnotherOne as meanwhile:
        name = manifest["metadata"]["name"]
        raise Unavailable(
            f"The InferenceService {name} was deleted meanwhile: another one has its name, or none has.",
            "It is looked at again.", retry_after=1,
        ) from meanwhile  # fmt: skip


def _identity(service: Object) -> Manifest:
    """This very object: another one of its name is a conflict."""
    about = metadata(service)
    return {
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": {"name": about.get("name"), "namespace": about.get("namespace"), "uid": about.get("uid")},
    }  # fmt: skip


def mode_of(service: Object) -> str:
    """Standard or Knative, by the names of today; "" while KServe has not decided."""
    return mode_named(mapping(service.get("status")).get("deploymentMode"))


def mode_named(said: object) -> str:
    """A mode by its name of today, however old the KServe is that said it."""
    return {"RawDeployment": "Standard", "Serverless": "Knative"}.get(str(said), str(said or ""))


def described_deletion(service: Object) -> str:
    held = metadata(service).get("finalizers")
    by = f"; held by {', '.join(map(str, held))}" if isinstance(held, list) and held else ""
    return f"The InferenceService {name_of(service)} is being deleted{by}."
