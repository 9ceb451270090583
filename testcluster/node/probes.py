"""When each probe of a running container is due, and what its answers mean for the container."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from testcluster.node.probe import probe

if TYPE_CHECKING:
    from testcluster.node.container import ContainerRun

End = tuple[int, str]
"""Exit code and reason."""


class Probes:
    """Of one run of one container: its time begins with the process."""

    def __init__(self, run: ContainerRun) -> None:
        self._run, self.begun = run, time.monotonic()
        self._due: dict[str, float] = {}
        self._bad: dict[str, int] = {}

    async def turn(self) -> End | None:
        """Ask what is due. An end, when the container is to be killed for the answer."""
        if self._run.init:
            return None
        for kind in ("readinessProbe", "livenessProbe") if self._run.status["started"] else ("startupProbe",):
            wanted = self._run.container.get(kind)
            if wanted is None:
                self._ready(kind == "readinessProbe" or self._run.status["ready"])
            elif self._is_due(kind, wanted) and await self._fails(kind, wanted):
                return 137, "Error"
        return None

    def _is_due(self, kind: str, wanted: dict[str, Any]) -> bool:
        tempo, current = self._run.pod.settings.tempo, time.monotonic()
        if current < self._due.get(kind, self.begun + wanted.get("initialDelaySeconds", 0) * tempo):
            return False
        self._due[kind] = current + wanted.get("periodSeconds", 10) * tempo
        return True

    async def _fails(self, kind: str, wanted: dict[str, Any]) -> bool:
        """True when the container is to be killed: never for readiness."""
        run = self._run
        failures = run.pod.failures()
        if ("never-ready" in failures and kind != "livenessProbe") or (
            "liveness" in failures and kind == "livenessProbe"
        ):
            wrong = "HTTP probe failed with statuscode: 503"
        else:
            wrong = await probe(wanted, run.container, run.pod.ip)
        self._bad[kind] = self._bad.get(kind, 0) + 1 if wrong else 0
        over = self._bad[kind] >= wanted.get("failureThreshold", 3)
        word = kind.removesuffix("Probe")
        if wrong:
            await run.pod.event(
                "Unhealthy", f"{word.capitalize()} probe failed: {wrong}", "Warning", run.name
            )
        if kind == "startupProbe" and not wrong:
            run.status["started"] = True
            run.pod.changed()
        if kind == "readinessProbe" and (over or not wrong):
            self._ready(not wrong)
        if kind == "readinessProbe" or not over:
            return False
        text = f"Container {run.name} failed {word} probe, will be restarted"
        await run.pod.event("Killing", text, "Normal", run.name)
        return True

    def _ready(self, ready: bool) -> None:
        if self._run.status["ready"] != ready:
            self._run.status["ready"] = ready
            self._run.pod.changed()
