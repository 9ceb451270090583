"""The paths of the gateway. Who may use them was decided before."""

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.errors import MethodNotAllowed, ModelManagerError, NotFound
from model_manager.gateway.openai_errors import error_response
from model_manager.gateway.passing import Passage
from model_manager.gateway.targets import Targets
from model_manager.relay import Relay

PASSED_ON = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")


def routes(targets: Targets, relay: Relay, **timeouts: float) -> list[BaseRoute]:
    """`/v1/…` for a Starlette router. `timeouts` in seconds: `first_byte_timeout`, `idle_timeout`, …"""
    models = _Models(targets)
    return [
        Route("/v1/models", _Only("GET", models)),
        Route("/v1/models/{model:path}", _Only("GET", models)),
        *(Route(path, _Only("POST", Passage(path, targets, relay, **timeouts))) for path in PASSED_ON),
    ]


class _Only:
    """An endpoint for one method; others get 405 in OpenAI's words."""

    def __init__(self, method: str, app: ASGIApp) -> None:
        self._allowed = (method, "HEAD") if method == "GET" else (method,)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in self._allowed:
            await self._app(scope, receive, send)
            return
        sentence = f"{scope['path']} answers {self._allowed[0]}, not {scope['method'][:20]}."
        await error_response(MethodNotAllowed(sentence, allow=self._allowed))(scope, receive, send)


class _Models:
    """The list of models that can be asked now, or one of it."""

    def __init__(self, targets: Targets) -> None:
        self._targets = targets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            response = _json(self._answer(scope["path_params"].get("model")))
        except ModelManagerError as error:
            response = error_response(error)
        await response(scope, receive, send)

    def _answer(self, name: str | None) -> dict[str, Any]:
        models = self._targets.models()
        if name is None:
            return {"object": "list", "data": models}
        for model in models:
            if model.get("id") == name:
                return model
        served = ", ".join(str(model.get("id")) for model in models) or "none"
        raise NotFound(f"The model {name[:100]!r} is not served now; served: {served}.")


def _json(value: dict[str, Any]) -> Response:
    return Response(msgspec.json.encode(value), headers={"content-type": "application/json"})
