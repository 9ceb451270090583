"""Which Kubernetes and which KServe a cluster has, and in which mode KServe serves where none is asked for.

KServe tells its version nowhere that an account of one namespace may read. So its own admission is asked, by dry runs
of an InferenceService that is never made: what it writes into it, and which fields it knows.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Any

import msgspec

from model_manager.errors import ModelManagerError, Unprocessable
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.applying import MODE, mode_named
from model_manager.serving.kserve.kinds import CONFIG_MAPS, INFERENCE_SERVICES, Object, annotations, mapping
from model_manager.serving.platform import ClusterInfo

PROBE = "model-manager-probe"
SETTINGS, HOME = "inferenceservice-config", "kserve"
"""KServe's ConfigMap, in the namespace where its charts put it. Its images carry its version."""

KEPT, TROUBLE_KEPT, WAIT = 300.0, 10.0, 3.0
"""Seconds that an answer is good for, that one which says only what went wrong is, and that it is waited for."""

_TAG = re.compile(r":v?([0-9]+\.[0-9]+(?:\.[0-9]+)?)[^/:]*$")


class Versions:
    """What `look` finds out, kept for a while: one look at a time, shared by all who ask."""

    def __init__(self, api: Api, clock: Callable[[], float]) -> None:
        self._api, self._clock = api, clock
        self._known: tuple[float, ClusterInfo] | None = None
        self._looking: asyncio.Task[ClusterInfo] | None = None

    async def known(self) -> ClusterInfo:
        if self._known is not None and self._clock() < self._known[0]:
            return self._known[1]
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(), name="look at the cluster's versions")
        return await asyncio.shield(self._looking)

    async def aclose(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look(self) -> ClusterInfo:
        try:
            found = await asyncio.wait_for(look(self._api), WAIT)
        except TimeoutError:
            found = ClusterInfo(trouble="The Kubernetes API server did not answer in time.")
        self._known = self._clock() + (TROUBLE_KEPT if found.trouble else KEPT), found
        return found


async def look(api: Api) -> ClusterInfo:
    """Asks anew at each call. What cannot be found out is "", and `trouble` says why."""
    kubernetes = ""
    try:
        kubernetes = str((await api.version()).get("gitVersion") or "")
        mode = mode_named(annotations(await _admitted(api)).get(MODE)) or "Knative"
        version = await _said(api) or await _by_admission(api)
    except ModelManagerError as error:
        return ClusterInfo(kubernetes, trouble=error.sentence)
    return ClusterInfo(kubernetes, version, mode)


async def _said(api: Api) -> str:
    """By the tag of the image that the controller gives to storage initializers; "" where that may not be read."""
    try:
        data = mapping((await api.get(CONFIG_MAPS, SETTINGS, HOME)).get("data"))
        image = msgspec.json.decode(str(data.get("storageInitializer", "{}")))
    except (ModelManagerError, msgspec.DecodeError):
        return ""
    found = _TAG.search(str(mapping(image).get("image", "")))
    return found[1] if found else ""


async def _by_admission(api: Api) -> str:
    """0.16 gave the modes their names of today and translates the old ones; 0.20 knows `storageContainerName`."""
    named = await _admitted(api, mode="RawDeployment")
    if annotations(named).get(MODE) == "RawDeployment":
        return "0.15 or older"
    if await _knows(api, "modelManagerProbe"):
        return "0.16 or newer"  # CRDs that do not check fields
    return "0.20 or newer" if await _knows(api, "storageContainerName") else "0.16 to 0.19"


async def _knows(api: Api, field: str) -> bool:
    try:
        await _admitted(api, **{field: "default"})
    except Unprocessable:
        return False
    return True


async def _admitted(api: Api, mode: str = "", **predictor: Any) -> Object:
    """The object as admission would store it."""
    model = {"modelFormat": {"name": "custom"}, "runtime": PROBE, "storageUri": f"pvc://{PROBE}/model"}
    return await api.apply(
        INFERENCE_SERVICES,
        {
            "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
            "metadata": {
                "name": PROBE, "namespace": api.namespace, "annotations": {MODE: mode} if mode else {}
            },
            "spec": {"predictor": {"model": model, **predictor}},
        },
        dry_run=True,
    )  # fmt: skip
