"""KServe's controller, the scheduler and one node, as far as the adapter can see them, on the fake API server.

A manifest's runtime says how its server behaves, as on the other platforms of the contract suite (`ground.RUNTIMES`).
"""

import asyncio
import copy
from contextlib import suppress
from itertools import count
from typing import Any

from tests.serving.kserve.fake_api import FakeApi
from tests.serving.kserve.fake_store import Key, Object, now

FINALIZER = "inferenceservice.finalizers"
SERVICE = "serving.kserve.io/inferenceservice"
CRASH_EVERY = 0.02


class FakeKServe:
    """Reconciles in one task per InferenceService. `behaviour` of a runtime: its name, unless told otherwise."""

    def __init__(self, api: FakeApi) -> None:
        self.api, self.store = api, api.store
        self.behaviours: dict[str, str] = {}
        self._tasks: dict[Key, asyncio.Task[None]] = {}
        self._poked: dict[Key, asyncio.Event] = {}
        self._loading: set[asyncio.Task[None]] = set()
        self._addresses = count(2)
        self.store.told.append(self._hear)
        self.store.admit.append(_default)

    async def aclose(self) -> None:
        tasks = [*self._tasks.values(), *self._loading]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def add_runtime(self, document: Object, namespace: str = "default") -> None:
        name = document["metadata"]["name"]
        self.store.put(("servingruntimes", namespace, name), document)

    def pods(self, name: str) -> list[Object]:
        return [
            pod
            for pod in self.store.find("pods", "default")
            if pod["metadata"]["labels"].get(SERVICE) == name
        ]

    def change_pod(self, pod: Object, **status: Any) -> Object:
        """Replace parts of a pod's status, as a kubelet would."""
        key = _key("pods", pod)
        changed = copy.deepcopy(self.store.get(key))
        changed["status"] |= status
        return self.store.put(key, changed)

    def warn(self, about: Object, reason: str, message: str) -> None:
        meta = about["metadata"]
        event = {
            "type": "Warning", "reason": reason, "message": message, "count": 1, "lastTimestamp": now(),
            "involvedObject": {"kind": about.get("kind"), "name": meta["name"], "uid": meta["uid"]},
        }  # fmt: skip
        self.store.put(("events", "default", f"{meta['name']}.{self.store.version:x}"), event)

    # -- the controller -----------------------------------------------------------------------------------

    def _hear(self, key: Key, what: str, item: Object) -> None:
        if key[0] == "pods":
            key = ("inferenceservices", key[1], item["metadata"]["labels"].get(SERVICE, ""))
        if key[0] != "inferenceservices":
            return
        self._poked.setdefault(key, asyncio.Event()).set()
        if key not in self._tasks:
            self._tasks[key] = asyncio.create_task(self._reconcile(key))

    async def _reconcile(self, key: Key) -> None:
        poked = self._poked[key]
        while True:
            await poked.wait()
            poked.clear()
            await asyncio.sleep(0.005)
            service = self.store.objects.get(key)
            wanted = (
                None
                if service is None or service["metadata"].get("deletionTimestamp")
                else _template(service)
            )
            pods = self.pods(key[2])
            old = [pod for pod in pods if pod["metadata"]["annotations"]["template"] != wanted]
            for pod in old:
                self._end(pod)
            if service is not None and wanted is None and not pods:
                for finalizer in ("foregroundDeletion", FINALIZER):
                    self.store.release(key, finalizer)
            if service is not None and wanted is not None:
                if FINALIZER not in service["metadata"].get("finalizers", ()):
                    held = copy.deepcopy(service)
                    held["metadata"]["finalizers"] = [FINALIZER]
                    service = self.store.put(key, held)
                if not pods and wanted:
                    self._begin(service, wanted)
            self._say(key)

    def _say(self, key: Key) -> None:
        """The status: Ready follows the pods, a little late."""
        if key not in self.store.objects:
            return
        service = copy.deepcopy(self.store.objects[key])
        ready = any(_is_ready(pod) for pod in self.pods(key[2]))
        service["status"] = {
            "deploymentMode": service["metadata"]
            .get("annotations", {})
            .get("serving.kserve.io/deploymentMode"),
            "conditions": [{"type": "Ready", "status": str(ready)}],
        }
        self.store.put(key, service)

    # -- the node -----------------------------------------------------------------------------------------

    def _begin(self, service: Object, template: str) -> None:
        meta, predictor = service["metadata"], service["spec"]["predictor"]
        name = f"{meta['name']}-predictor-{self.store.version:x}"
        labels = {**meta.get("labels", {}), **predictor.get("labels", {}), SERVICE: meta["name"]}
        pod = self.store.put(("pods", meta["namespace"], name), {
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"labels": labels, "annotations": {"template": template}},
            "spec": {"containers": [{"name": "kserve-container", "ports": [{"containerPort": 8080}]}]},
            "status": {"phase": "Pending", "conditions": [{"type": "PodScheduled", "status": "True"}]},
        })  # fmt: skip
        runtime = predictor.get("model", {}).get("runtime", "")
        task = asyncio.create_task(self._run(pod, self.behaviours.get(runtime, runtime)))
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _run(self, pod: Object, behaviour: str) -> None:
        address = f"127.0.1.{next(self._addresses)}"
        if behaviour == "pending":
            return
        await asyncio.sleep(0.01)
        with suppress(Exception):
            self._set(pod, address, {"running": {}}, ready=False)
        if behaviour == "crashes":
            await self._crash(pod, address)
        elif behaviour != "never-ready":
            await asyncio.sleep(0.3 if behaviour == "late" else 0.02)
            self._set(pod, address, {"running": {}}, ready=True)

    async def _crash(self, pod: Object, address: str) -> None:
        lines = self.api.logs.setdefault((pod["metadata"]["name"], False), [])
        last: Object = {"terminated": {"exitCode": 137, "reason": "Error"}}
        for again in range(4):
            lines += ["beginning", "going away as told"]
            waits = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off restarting"}}
            self._set(pod, address, waits, ready=False, restarts=again, last=last)
            await asyncio.sleep(CRASH_EVERY)

    def _set(self, pod: Object, address: str, state: Object, *, ready: bool, restarts: int = 0,
             last: Object | None = None) -> None:  # fmt: skip
        if _key("pods", pod) not in self.store.objects:
            return
        self.change_pod(
            pod, phase="Running", podIP=address,
            conditions=[{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": str(ready)}],
            containerStatuses=[{
                "name": "kserve-container", "ready": ready, "restartCount": restarts, "state": state,
                "lastState": last or {}}],
        )  # fmt: skip

    def _end(self, pod: Object) -> None:
        if pod["metadata"].get("deletionTimestamp"):
            return
        key = _key("pods", pod)
        self.store.delete(key, finalizers=("process",))
        runtime = pod["metadata"]["annotations"]["template"].partition("|")[0]
        slow = self.behaviours.get(runtime, runtime) == "slow-to-stop"
        asyncio.get_running_loop().call_later(0.3 if slow else 0.02, self.store.release, key, "process")


def _key(plural: str, item: Object) -> Key:
    return plural, item["metadata"]["namespace"], item["metadata"]["name"]


def _is_ready(pod: Object) -> bool:
    return any(
        one["type"] == "Ready" and one["status"] == "True" for one in pod["status"].get("conditions", ())
    )


def _template(service: Object) -> str:
    """What makes a new pod when it changes: the spec, and the labels and annotations that KServe copies to pods."""
    meta = service["metadata"]
    if str(meta.get("annotations", {}).get("serving.kserve.io/stop")).lower() == "true":
        return ""
    copied = {key: value for key, value in meta.get("annotations", {}).items() if key != "modelFormat"}
    runtime = service["spec"]["predictor"].get("model", {}).get("runtime")
    parts = (meta.get("labels", {}), copied, service["spec"]["predictor"])
    return f"{runtime}|{parts}"


def _default(plural: str, item: Object) -> None:
    """KServe's defaulter writes into the object itself, owned by nobody; here it only refuses."""
    del plural, item
