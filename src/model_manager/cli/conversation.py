"""One conversation with a model through `/v1/chat/completions`, streamed."""

import json
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import Any

from model_manager import client as api
from model_manager.errors import NotFound, Unavailable, UpstreamError

FIRST_TOKEN_TIMEOUT = 300.0
"""Seconds: a big model on a small machine reads a long prompt for minutes."""


class Conversation:
    """What was said so far, and the model that hears it."""

    def __init__(self, client: "api.Client", model: str, system: str | None = None) -> None:
        self.model = model
        self._client = client
        self._start = [{"role": "system", "content": system}] if system else []
        self._said: list[dict[str, str]] = list(self._start)

    def clear(self) -> None:
        self._said = list(self._start)

    def ask(self, text: str) -> Iterator[str]:
        """The answer, piece by piece. It joins the conversation only when it ended by itself.

        Raises UpstreamError when it broke off; closing the iterator stops the generation.
        """
        question = {"role": "user", "content": text}
        payload = {"model": self.model, "messages": [*self._said, question], "stream": True}
        call = api.Call[Any](
            method="POST", path=("v1", "chat", "completions"), returns={200: Any}, payload=payload
        )
        answer = ""
        with closing(self._client.stream(call, timeout=FIRST_TOKEN_TIMEOUT)) as stream:
            for chunk in _chunks(stream):
                piece = _content(chunk)
                answer += piece
                if piece:
                    yield piece
        self._said += [question, {"role": "assistant", "content": answer}]


def first_model(client: "api.Client") -> str:
    """The id of the model that serves. Raises Unavailable while one is on its way, else NotFound."""
    serving = api.Call[dict[str, Any]](method="GET", path=("v1", "models"), returns={200: dict[str, Any]})
    for model in client.send(serving)["data"]:
        return str(model.get("root") or model["id"])
    for slot in client.list_slots().slots:
        if slot.desired and slot.state != "failed":
            raise Unavailable(
                f"{slot.desired.model_id} is on its way ({slot.state}) and does not answer yet.",
                "`model-manager status` shows when it does.",
            )
    raise NotFound(
        "No model is active.", "Activate one: `model-manager models`, then `model-manager run ID`."
    )


def _chunks(stream: "Iterable[api.Message]") -> Iterator[dict[str, Any]]:
    for message in stream:
        if message.data == "[DONE]":
            return
        if not message.data:
            continue
        chunk = json.loads(message.data)
        if "error" in chunk:
            raise _broken(chunk["error"])
        yield chunk
    raise UpstreamError(
        "The answer broke off before its end.", "`model-manager logs` shows what the model server says."
    )


def _content(chunk: dict[str, Any]) -> str:
    choices = chunk.get("choices") or [{}]
    return str((choices[0].get("delta") or {}).get("content") or "")


def _broken(error: Any) -> UpstreamError:
    facts = error if isinstance(error, dict) else {"message": str(error)}
    return UpstreamError(
        str(facts.get("message") or "The model server failed."),
        str(facts.get("hint") or "`model-manager logs` shows what it says."),
    )
