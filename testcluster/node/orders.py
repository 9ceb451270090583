"""What the tests ordered: a JSON file that is read again whenever it changed.

A failure is some words, in the pod's annotation `test-node/fail` or in an order for its namespace and labels:

    image-pull          the image cannot be pulled               init-crash          init containers end with code 1
    crash               containers end with code 1 at start      crash:S             the same, S seconds after the start
    oom                 killed for memory (137) once ready       oom:start           the same at start
    never-ready         no probe succeeds (readiness is lost where it was there)
    liveness            the liveness probe fails                 slow-start:S        S seconds before the process starts
    slow-termination:S  S seconds pass before the processes are told to end
    evict               the node throws the pod out
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ANNOTATION = "test-node/fail"
WORDS = frozenset(
    [
        "image-pull",
        "init-crash",
        "crash",
        "oom",
        "never-ready",
        "liveness",
        "slow-start",
        "slow-termination",
        "evict",
    ]
)


class Orders:
    """The file's content, as of now."""

    def __init__(self, file: Path) -> None:
        self._file, self._stamp = file, 0
        self._orders: dict[str, Any] = {"nodes": {}, "pods": []}

    @property
    def nodes(self) -> dict[str, dict[str, Any]]:
        nodes: dict[str, dict[str, Any]] = self._read()["nodes"]
        return nodes

    def is_gone(self, node: str) -> bool:
        return bool(self.nodes.get(node, {}).get("gone"))

    def failures(self, pod: Mapping[str, Any]) -> dict[str, str]:
        """Each word that holds for this pod, and its value. KeyError: no such word."""
        found = {}
        for text in self._texts(pod["metadata"]):
            for word in text.split():
                name, _, value = word.partition(":")
                if name not in WORDS:
                    raise KeyError(f"the test node knows no failure {name!r}: {sorted(WORDS)}")
                found[name] = value
        return found

    def _texts(self, metadata: Mapping[str, Any]) -> Iterator[str]:
        yield metadata.get("annotations", {}).get(ANNOTATION, "")
        labels = metadata.get("labels", {}).items()
        for order in self._read()["pods"]:
            if order["namespace"] == metadata["namespace"] and order["labels"].items() <= labels:
                yield order["fail"]

    def _read(self) -> dict[str, Any]:
        stamp = self._file.stat().st_mtime_ns
        if stamp != self._stamp:
            self._stamp, self._orders = stamp, json.loads(self._file.read_text())
        return self._orders
