"""Ready means ready: the model server itself names the right model and generates a token."""

from typing import Any, Literal

from msgspec import Struct

from model_manager.catalog.entry import Entry
from model_manager.errors import UpstreamError
from model_manager.relay import Relay
from model_manager.serving.platform import Instance

ANSWER_TIMEOUT = 60.0
"""Seconds for one token: a cold GPU may compile kernels for the first request."""


class Verdict(Struct, frozen=True):
    """`ok`; `retry`: no usable answer yet; `wrong`: it answered, and waiting cannot make that right."""

    word: Literal["ok", "retry", "wrong"]
    code: str = ""
    sentence: str = ""
    hint: str = ""


async def verify(relay: Relay, instance: Instance, entry: Entry) -> Verdict:
    """Ask the instance for its models, then for one token (or one embedding). Raises nothing a server can cause."""
    try:
        named = await _names(relay, instance)
        if entry.served_name not in named:
            return _wrong_name(entry.served_name, named)
        return await _generate(relay, instance, entry)
    except UpstreamError as e:
        return Verdict("retry", e.code, e.sentence, e.hint)


async def _names(relay: Relay, instance: Instance) -> list[str]:
    status, body = await relay.json("GET", f"{instance.url}/v1/models", key=instance.key)
    if status != 200:
        raise UpstreamError(f"The model server answered {status} at /v1/models.")
    models = body.get("data") if isinstance(body, dict) else None
    return [str(model.get("id")) for model in models or [] if isinstance(model, dict)]


async def _generate(relay: Relay, instance: Instance, entry: Entry) -> Verdict:
    path, payload = _question(entry)
    url = f"{instance.url}{path}"
    status, body = await relay.json("POST", url, key=instance.key, payload=payload, timeout=ANSWER_TIMEOUT)
    if status >= 500:
        return Verdict("retry", "no_token", f"The model server answered {status} at {path}: {_message(body)}")
    if status != 200 or not _has_output(body):
        sentence = f"The model server answered {status} at {path} and generated nothing: {_message(body)}"
        return Verdict("wrong", "no_token", sentence, "Look at the model server's log: `model-manager logs`.")
    return Verdict("ok")


def _question(entry: Entry) -> tuple[str, dict[str, Any]]:
    if entry.task == "embed":
        return "/v1/embeddings", {"model": entry.served_name, "input": "ready?"}
    return "/v1/completions", {"model": entry.served_name, "prompt": "ready?", "max_tokens": 1}


def _has_output(body: Any) -> bool:
    """An embedding, or at least one token. The server's count is asked first: a first token may be an invisible one."""
    if not isinstance(body, dict):
        return False
    usage = body.get("usage")
    if body.get("choices") and isinstance(usage, dict) and "completion_tokens" in usage:
        return bool(usage["completion_tokens"])
    choices = [choice for choice in body.get("choices") or [] if isinstance(choice, dict)]
    return any(choice.get("text") for choice in choices) or bool(body.get("data"))


def _message(body: Any) -> str:
    error = body.get("error") if isinstance(body, dict) else None
    text = error.get("message") if isinstance(error, dict) else error
    return str(text or "no explanation")[:300]


def _wrong_name(wanted: str, named: list[str]) -> Verdict:
    said = ", ".join(repr(name) for name in named) or "no model at all"
    return Verdict(
        "wrong", "wrong_model", f"The model server names {said} at /v1/models, not {wanted!r}.",
        "Something else answers on its port, or the runtime ignores the name it was given.",
    )  # fmt: skip
