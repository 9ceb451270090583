"""What the tests of this room share: a control without pipes, small repositories, orders."""

from pathlib import Path
from typing import Any

from msgspec import to_builtins

from model_manager.catalog.entry import Entry
from tests.hub.fake import FakeHub

MODEL = {
    "config.json": b'{"architectures": ["LlamaForCausalLM"]}',
    "model.safetensors": bytes(range(256)) * 2000,
    "nested/tokenizer.json": b'{"version": "1.0"}' * 10,
}
"""A small repository: two plain files, one LFS file."""


class Cancelled(Exception):
    """What the fake's `check` raises."""


class FakeControl:
    """A control whose fields the test sets."""

    def __init__(self) -> None:
        self.cancelled = False
        self.limit: int | None = None
        self.paused = False
        self.reports: list[dict[str, Any]] = []
        self.logged: list[str] = []

    def check(self) -> None:
        if self.cancelled:
            raise Cancelled

    def report(self, progress: dict[str, Any]) -> None:
        self.reports.append(progress)

    def log(self, text: str) -> None:
        self.logged.append(text)


def order(root: Path, entry: Entry, folder: str, hub: FakeHub | None = None, **more: Any) -> dict[str, Any]:
    """The message of an install worker, as the service makes it."""
    message = {
        "folder": folder, "entry": to_builtins(entry), "entryHash": "hash", "root": str(root), "reserve": 0,
        "actor": "tester",
    }  # fmt: skip
    if hub is not None:
        message["hubEndpoint"] = hub.url
    return message | more


def tree_of(root: Path) -> dict[str, bytes]:
    """Every file below a folder with its content, without the manifest."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and path.name != ".weights.json"
    }
