"""`/active`: what a slot serves now, as clients of the original ask for it."""

from typing import Any, Literal

from msgspec import Struct

from model_manager import commands
from model_manager.commands import Parts
from model_manager.http.routing import Route
from model_manager.web.models import InSlot


class Active(Struct, rename="camel", omit_defaults=True):
    """`none` with a message, or `active` with the InferenceService of the verified model."""

    status: Literal["none", "active"]
    slot: str
    message: str | None = None
    model_id: str | None = None
    inferenceservice: dict[str, Any] | None = None


async def get_active(parts: Parts, query: InSlot) -> Active:
    """What a slot serves now; nothing is active before it was verified."""
    slot = await commands.get_slot(parts, query.slot or parts.default_slot)
    manifest = await commands.active_object(parts, slot.name)
    if manifest is None:
        return Active("none", slot.name, message="No active model")
    return Active("active", slot.name, model_id=slot.serving, inferenceservice=manifest)


ROUTES = (Route("GET", "/active", get_active),)
