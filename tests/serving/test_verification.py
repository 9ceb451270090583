"""What is known of a run: asked once, asked again after no answer, and never taken over by the next run."""

import asyncio
from typing import Any

import pytest
from msgspec.structs import replace

from model_manager.catalog.entry import Entry
from model_manager.errors import UpstreamError
from model_manager.relay import Relay
from model_manager.serving.platform import Instance
from model_manager.serving.verification import Verification
from tests.waiting import until

ENTRY = Entry(id="a")
FIRST = Instance(name="p", activation="x", state="running", ready=True, url="http://127.0.0.1:1", pid=1)
SECOND = replace(FIRST, pid=2, restarts=1)


class Server(Relay):
    """Answers what it is told, without a network."""

    def __init__(self, *models: Any) -> None:
        super().__init__()
        self.models, self.asked = list(models), 0

    async def json(self, method: str, url: str, **_: Any) -> tuple[int, Any]:  # type: ignore[override]
        if not url.endswith("/v1/models"):
            return 200, {"choices": [{"text": "x"}], "usage": {"completion_tokens": 1}}
        self.asked += 1
        answer = self.models.pop(0) if len(self.models) > 1 else self.models[0]
        if isinstance(answer, Exception):
            raise answer
        return 200, {"data": answer}


def verification(server: Server) -> tuple[Verification, asyncio.Event]:
    told = asyncio.Event()
    return Verification(server, 0.01, told.set), told


async def test_a_run_is_asked_once_and_known_then() -> None:
    seen, told = verification(server := Server([{"id": "a"}]))
    assert seen.word(FIRST) is None
    seen.ask(FIRST, ENTRY)
    seen.ask(FIRST, ENTRY)
    assert seen.word(FIRST) == "pending"
    await told.wait()
    assert (seen.word(FIRST), server.asked) == ("ok", 1)


async def test_a_verdict_says_nothing_of_the_next_run() -> None:
    seen, told = verification(Server([{"id": "a"}]))
    seen.ask(FIRST, ENTRY)
    await told.wait()
    assert seen.word(SECOND) is None
    assert seen.word(None) is None


async def test_the_next_run_is_asked_while_the_last_one_still_is() -> None:
    seen, told = verification(Server([{"id": "a"}]))
    seen.ask(FIRST, ENTRY)
    seen.ask(SECOND, ENTRY)
    await told.wait()
    assert (seen.word(FIRST), seen.word(SECOND)) == (None, "ok")


async def test_no_answer_is_asked_for_again() -> None:
    seen, told = verification(Server(UpstreamError("It does not answer."), [{"id": "a"}]))
    seen.ask(FIRST, ENTRY)
    await told.wait()
    assert seen.word(FIRST) == "retry"
    seen.ask(FIRST, ENTRY)
    await until(lambda: seen.word(FIRST) == "ok")


@pytest.mark.parametrize("models", [7, "a", {"id": "a"}, [7], None])
async def test_an_odd_answer_is_a_verdict_too(models: Any) -> None:
    seen, told = verification(Server(models))
    seen.ask(FIRST, ENTRY)
    await told.wait()
    assert seen.word(FIRST) in ("retry", "wrong")
    assert seen.verdict is not None
    assert seen.verdict.sentence
