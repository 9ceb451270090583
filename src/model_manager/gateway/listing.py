"""`GET /v1/models` and `/v1/models/{model}`: the names that can be asked for now."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from model_manager.errors import ModelManagerError, NotFound
from model_manager.gateway.permission import only_of
from model_manager.gateway.shapes import OPENAI
from model_manager.serving.targets import Name, Targets


class Models:
    """The list, or one of it, for the clients of both APIs: each reads the fields that it knows."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        names = self._targets.names(only_of(scope))
        try:
            response = _json(_answer(names, scope["path_params"].get("model")))
        except ModelManagerError as error:
            response = OPENAI.response(error)
        await response(scope, receive, send)


def _answer(names: list[Name], wanted: str | None) -> dict[str, Any]:
    if wanted is None:
        ends = {"first_id": names[0].name, "last_id": names[-1].name} if names else {}
        return {"object": "list", "data": [_model(one) for one in names], "has_more": False, **ends}
    for one in names:
        if one.name == wanted:
            return _model(one)
    served = ", ".join(one.name for one in names) or "none"
    raise NotFound(f"The model {wanted[:100]!r} is not served now.", f"Served: {served}.", param="model")


def _model(one: Name) -> dict[str, Any]:
    """`root` is vLLM's field for the model behind a name; `slot` is ours."""
    return {
        "id": one.name,
        "object": "model",
        "type": "model",
        "display_name": one.name,
        "created": one.since,
        "created_at": datetime.fromtimestamp(one.since, UTC).isoformat(),
        "owned_by": "model-manager",
        "root": one.model_id,
        "slot": one.slot,
    }


def _json(value: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(value), headers={"content-type": "application/json"})
