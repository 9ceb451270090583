"""The life of one container: image, process, probes, end, back-off, and again."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2

from testcluster.api import Refused
from testcluster.node.images import entry_point
from testcluster.node.probes import End, Probes
from testcluster.node.rootfs import CannotCreate, Rootfs
from testcluster.node.status import now, terminated, waiting_container

if TYPE_CHECKING:
    from testcluster.node.pod import PodRun

GLANCE = 0.05
"""Seconds between two looks at the process and at the orders."""

LONGEST_BACK_OFF = 30
"""In first back-offs: 10 s to 300 s, as a kubelet's."""


class ContainerRun:
    """`status` is what the pod reports of it; whoever changes it calls `pod.changed()`."""

    def __init__(self, pod: PodRun, container: dict[str, Any], init: bool, reason: str) -> None:
        self.pod, self.container, self.init = pod, container, init
        self.name: str = container["name"]
        self.status = waiting_container(container, reason)
        self.process: asyncio.subprocess.Process | None = None
        self._back_off = pod.settings.back_off

    @property
    def log(self) -> Path:
        return self.log_of(self.status["restartCount"])

    def log_of(self, restart: int) -> Path:
        return self.pod.logs / f"{self.name}.{restart}.log"

    @property
    def is_alive(self) -> bool:
        return self.process is not None and self.process.returncode is None

    async def run(self) -> bool:
        """Until the pod is deleted, or, of an init container, until it did its work: True."""
        while not self.pod.deleted.is_set():
            await self._have_image()
            if await self._delayed() or not await self._started():
                continue
            ended = await self._watched()
            if ended is None:
                return False
            self._ends(*ended)
            if self.init and ended[0] == 0:
                return True
            await self._back_off_for(self.status["state"]["terminated"])
        return False

    async def _have_image(self) -> None:
        image, name = self.container["image"], self.name
        while not self.pod.deleted.is_set() and (
            "image-pull" in self.pod.failures() or entry_point(image) is None
        ):
            text = (
                f'failed to pull and unpack image "{image}": '
                f'failed to resolve reference "{image}": {image}: not found'
            )
            self._waits("ErrImagePull", text)
            await self.pod.event("Pulling", f'Pulling image "{image}"', container=name)
            await self.pod.event("Failed", f'Failed to pull image "{image}": {text}', "Warning", name)
            await self.pod.event("Failed", "Error: ErrImagePull", "Warning", name)
            await self.pod.pause(self._back_off * 0.2)
            self._waits("ImagePullBackOff", f'Back-off pulling image "{image}": ErrImagePull: {text}')
            await self.pod.event("BackOff", f'Back-off pulling image "{image}"', "Normal", name)
            await self.pod.event("Failed", "Error: ImagePullBackOff", "Warning", name)
            await self.pod.pause(self._back_off)

    async def _delayed(self) -> bool:
        """True: the pod was deleted meanwhile."""
        if seconds := self.pod.failures().get("slow-start"):
            await self.pod.pause(float(seconds))
        return self.pod.deleted.is_set()

    async def _started(self) -> bool:
        pod, settings = self.pod, self.pod.settings
        try:
            rootfs = Rootfs(pod.api, pod.pod, self.container, pod.ip, pod.folder, settings.volumes)
            argv, environment = await rootfs.command(settings.commands, settings.hub)
            with self.log.open("ab") as log:
                self.process = await asyncio.create_subprocess_exec(
                    *("setpriv", "--pdeathsig", "KILL", *argv),
                    env=environment,
                    cwd=pod.folder,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        except (CannotCreate, OSError, Refused, httpx2.TransportError) as error:
            wrong = isinstance(error, CannotCreate)
            self._waits("CreateContainerConfigError" if wrong else "CreateContainerError", str(error))
            await pod.event("Failed", f"Error: {error}", "Warning", self.name)
            await pod.pause(self._back_off)
            return False
        identity = f"test://{pod.uid[:8]}-{self.name}-{self.status['restartCount']}"
        self.status |= {
            "state": {"running": {"startedAt": now()}},
            "containerID": identity,
            "imageID": f"test://{self.container['image']}",
            "started": "startupProbe" not in self.container,
        }
        pod.changed()
        await pod.event("Created", f"Created container: {self.name}", container=self.name)
        await pod.event("Started", f"Started container {self.name}", container=self.name)
        return True

    async def _watched(self) -> End | None:
        """How it ended; None: the pod is being deleted, and ends it itself."""
        probes = Probes(self)
        while not self.pod.deleted.is_set() and not self.pod.evicted:
            assert self.process
            if (code := self.process.returncode) is not None:
                return exit_code(code), "Error" if code else "Completed"
            forced = self._ordered_to_end(time.monotonic() - probes.begun) or await probes.turn()
            if forced:
                self.kill(signal.SIGKILL)
                await self.process.wait()
                return forced
            await asyncio.sleep(GLANCE)
        return None

    def _ordered_to_end(self, age: float) -> End | None:
        failures = self.pod.failures()
        if self.init:
            return (1, "Error") if "init-crash" in failures else None
        if "crash" in failures and age >= float(failures["crash"] or 0):
            return 1, "Error"
        if "oom" in failures and (self.status["ready"] or failures["oom"] == "start"):
            return 137, "OOMKilled"
        return None

    def _ends(self, code: int, reason: str) -> None:
        message = ""
        if code and self.container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            message = tail(self.log)
        started = self.status["state"]["running"]["startedAt"]
        ended = terminated(code, reason, started, self.status["containerID"], message)
        done = self.init and code == 0
        self.status |= {"state": {"terminated": ended}, "ready": done, "started": False}
        self.pod.changed()

    def stopped(self) -> None:
        """The pod ended it: say so, if it had run."""
        if "running" in self.status["state"] and self.process and self.process.returncode is not None:
            code = exit_code(self.process.returncode)
            self._ends(code, "Error" if code else "Completed")

    async def _back_off_for(self, ended: dict[str, Any]) -> None:
        """The first restart comes at once, the others later and later."""
        await self.pod.pause(0.3)
        status, pod = self.status, self.pod
        if status["restartCount"] or self.init:
            what = f"restarting failed container={self.name} pod={pod.name}_{pod.namespace}({pod.uid})"
            status["lastState"] = {"terminated": ended}
            self._waits("CrashLoopBackOff", f"back-off {self._back_off:g}s {what}")
            text = f"Back-off restarting failed container {self.name} in pod {pod.name}_{pod.namespace}({pod.uid})"
            await pod.event("BackOff", text, "Warning", self.name)
            await pod.pause(self._back_off)
            self._back_off = min(self._back_off * 2, pod.settings.back_off * LONGEST_BACK_OFF)
        if not pod.deleted.is_set():
            status |= {"lastState": {"terminated": ended}, "restartCount": status["restartCount"] + 1}

    def _waits(self, reason: str, message: str) -> None:
        self.status["state"] = {"waiting": {"reason": reason, "message": message}}
        self.pod.changed()

    def kill(self, how: signal.Signals) -> None:
        if self.is_alive:
            assert self.process
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, how)


def exit_code(returncode: int) -> int:
    """A process that a signal ended has 128 and the signal's number."""
    return returncode if returncode >= 0 else 128 - returncode


def tail(path: Path) -> str:
    """The end of a log, as much as a kubelet puts into a termination message."""
    with path.open(errors="replace") as file:
        return "\n".join(file.read()[-2048:].splitlines()[-80:])
