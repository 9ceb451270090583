"""The port to what is active: the gateway asks it where a request goes, and decides nothing itself."""

from contextlib import AbstractContextManager
from typing import Any, Protocol

from model_manager.serving.targets import Target

__all__ = ["Target", "Targets"]


class Targets(Protocol):
    """Implemented by `serving.targets`, and by tests. Both questions are answered at once, from memory."""

    def find(self, model: str | None) -> Target:
        """The target for a model's id or alias, or (None) that of the default slot.

        Raises NotFound for a model that is not served and Unavailable when it will be or was,
        each with a sentence that names what is active.
        """

    def models(self) -> list[dict[str, Any]]:
        """The models that can be asked now, as OpenAI's `model` objects."""

    def lease(self, target: Target) -> AbstractContextManager[None]:
        """Count a request as in flight, so that a switch waits for it. Taken in the same turn as `find`."""
