"""A pod's status as a kubelet writes it. Pure, but for the time in `now`."""

from datetime import UTC, datetime
from typing import Any

Status = dict[str, Any]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def micro_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def waiting_container(container: dict[str, Any], reason: str) -> Status:
    """A container's status before anything happened."""
    return {
        "name": container["name"],
        "image": container["image"],
        "imageID": "",
        "ready": False,
        "started": False,
        "restartCount": 0,
        "state": {"waiting": {"reason": reason}},
        "lastState": {},
    }


def terminated(code: int, reason: str, started: str, container_id: str, message: str = "") -> Status:
    """`state.terminated`; `message` is the end of the log, where the container's policy wants it."""
    ended = {
        "exitCode": code,
        "reason": reason,
        "startedAt": started,
        "finishedAt": now(),
        "containerID": container_id,
    }
    return ended | ({"message": message} if message else {})


class Conditions:
    """Remembers since when each condition has been as it is."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[bool, str]] = {}

    def list(self, initialized: bool, ready: bool) -> list[Status]:
        return [
            self._one("PodReadyToStartContainers", True, ""),
            self._one("Initialized", initialized, "ContainersNotInitialized"),
            self._one("ContainersReady", ready, "ContainersNotReady"),
            self._one("Ready", ready, "ContainersNotReady"),
        ]

    def _one(self, kind: str, holds: bool, reason: str) -> Status:
        if kind not in self._since or self._since[kind][0] != holds:
            self._since[kind] = holds, now()
        status = "True" if holds else "False"
        return {
            "type": kind,
            "status": status,
            "reason": None if holds else reason,
            "lastTransitionTime": self._since[kind][1],
        }
