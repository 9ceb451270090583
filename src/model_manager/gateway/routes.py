"""The paths of the gateway. Who may use them was decided before."""

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from model_manager.errors import MethodNotAllowed
from model_manager.gateway.listing import Models
from model_manager.gateway.passing import Passage
from model_manager.gateway.room import Room
from model_manager.gateway.shapes import shape_of
from model_manager.gateway.shortcut import Shortcut
from model_manager.gateway.telling import Observe
from model_manager.relay import Relay
from model_manager.serving.targets import Targets

PASSED_ON = {
    "/v1/chat/completions": "Answer a conversation",
    "/v1/completions": "Complete a text",
    "/v1/embeddings": "Turn texts into vectors",
    "/v1/responses": "Answer, in OpenAI's Responses API",
    "/v1/responses/input_tokens": "Count the tokens of a request to /v1/responses",
    "/v1/messages": "Answer, in Anthropic's Messages API",
    "/v1/messages/count_tokens": "Count the tokens of a request to /v1/messages",
    "/v1/rerank": "Order documents by how well they answer a query",
    "/v1/score": "Score pairs of texts",
}
"""What goes to the model's server under the same path, where its engine has it; each with its summary."""


def routes(
    targets: Targets,
    relay: Relay,
    *,
    observe: Observe | None = None,
    shortcut: Shortcut | None = None,
    **timeouts: float,
) -> list[BaseRoute]:
    """`/v1/…` for a Starlette router. `timeouts` in seconds: `first_byte_timeout`, `idle_timeout`, …"""
    models, room = Models(targets), Room()
    passages = {
        path: Passage(path, targets, relay, observe=observe, shortcut=shortcut, room=room, **timeouts)
        for path in PASSED_ON
    }
    return [
        Route("/v1/models", _Only("GET", models)),
        Route("/v1/models/{model:path}", _Only("GET", models)),
        *(Route(path, _Only("POST", passage)) for path, passage in passages.items()),
    ]


class _Only:
    """An endpoint for one method; others get 405 in the words of its API."""

    def __init__(self, method: str, app: ASGIApp) -> None:
        self._allowed = (method, "HEAD") if method == "GET" else (method,)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] in self._allowed:
            await self._app(scope, receive, send)
            return
        sentence = f"{scope['path']} answers {self._allowed[0]}, not {scope['method'][:20]}."
        error = MethodNotAllowed(sentence, allow=self._allowed)
        await shape_of(scope["path"]).response(error)(scope, receive, send)
