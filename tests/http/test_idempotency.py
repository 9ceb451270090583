"""H9a: the same request twice, on an application whose handlers count what they do."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec import Struct
from starlette.responses import Response

from model_manager.errors import ActivationFailed, Conflict
from model_manager.events import timestamp
from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.http.idempotency import KEEP, Answers, free_unfinished, prune
from model_manager.http.routing import Reply, Route
from model_manager.http.sse import EventStream, Message
from model_manager.state.database import Database, Transaction
from model_manager.tokens import Keyring
from tests.http.live import TOKEN, serving
from tests.waiting import until
from tests.web.asking import problem

Client = httpx2.AsyncClient


class Ask(Struct):
    what: str = "work"


class Done(Struct):
    number: int


class Worker:
    """Does things, and counts how often."""

    def __init__(self) -> None:
        self.done = 0
        self.going = asyncio.Event()
        self.going.set()


async def work(worker: Worker, body: Ask) -> Reply[Done]:
    """Done once more, in one of several ways."""
    worker.done += 1
    await worker.going.wait()
    if body.what == "refuse":
        raise Conflict("Not now.")
    if body.what == "fail":
        raise ActivationFailed("It did not become active.", cause="x")
    if body.what == "break":
        raise RuntimeError("a defect")
    return Reply(Done(worker.done), 202, {"location": f"/things/{worker.done}"})


async def stream(worker: Worker) -> EventStream:
    """Something without an end of its own."""
    worker.done += 1

    async def messages() -> AsyncGenerator[Message, None]:
        yield Message(worker.done)

    return EventStream(messages())


async def text(worker: Worker) -> Response:
    """No JSON."""
    worker.done += 1
    return Response(str(worker.done), media_type="text/plain")


ROUTES = [
    Route("POST", "/work", work),
    Route("PUT", "/work", work),
    Route("POST", "/other", work),
    Route("POST", "/secret", work, kept=False),
    Route("POST", "/stream", stream),
    Route("POST", "/text", text),
]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = await Database.open(tmp_path)
    yield database
    await database.aclose()


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture
async def client(database: Database, worker: Worker) -> AsyncIterator[Client]:
    app = application(
        [route.bound(worker) for route in ROUTES],
        version="1",
        auth=Auth(Keyring(TOKEN), loopback=True),
        closing=asyncio.Event(),
        answers=Answers(database),
    )
    async with serving(app) as client:
        client.headers["authorization"] = f"Bearer {TOKEN}"
        yield client


async def ask(client: Client, key: str | None, what: str = "work", path: str = "/work") -> httpx2.Response:
    headers = {} if key is None else {"idempotency-key": key}
    return await client.post(path, json={"what": what}, headers=headers)


async def test_h9a_the_same_request_is_answered_again_and_not_done_again(
    client: Client, worker: Worker
) -> None:
    first, second = await ask(client, "k"), await ask(client, "k")
    assert worker.done == 1
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["location"] == "/things/1"
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert second.headers["x-request-id"] != first.headers["x-request-id"]


async def test_without_a_key_or_with_another_one_it_is_done_again(client: Client, worker: Worker) -> None:
    for key in (None, None, "a", "b"):
        await ask(client, key)
    assert worker.done == 4


@pytest.mark.parametrize("other", ["body", "path", "query", "method"])
async def test_another_request_with_the_same_key_is_refused(
    client: Client, worker: Worker, other: str
) -> None:
    headers = {"idempotency-key": "k"}
    await client.post("/other" if other == "path" else "/work", json={"what": "work"}, headers=headers)
    if other == "body":
        again = await ask(client, "k", "more")
    elif other == "query":
        again = await client.post("/work?a=b", json={"what": "work"}, headers=headers)
    elif other == "method":
        again = await client.put("/work", json={"what": "work"}, headers=headers)
    else:
        again = await ask(client, "k")
    problem(again, 422, "unprocessable")
    assert worker.done == 1


async def test_h9a_while_the_first_is_answered_the_second_is_told_to_wait(
    client: Client, worker: Worker
) -> None:
    worker.going.clear()
    first = asyncio.create_task(ask(client, "k"))
    await until(lambda: worker.done)
    others = await asyncio.gather(*(ask(client, "k") for _ in range(5)))
    for one in others:
        problem(one, 409, "conflict")
        assert one.headers["retry-after"] == "1"
    worker.going.set()
    assert (await ask(client, "k")).content == (await first).content
    assert worker.done == 1


async def test_h9a_a_client_that_gave_up_gets_the_answer_when_it_asks_again(
    client: Client, worker: Worker
) -> None:
    worker.going.clear()
    with pytest.raises(httpx2.TimeoutException):
        await client.post("/work", json={"what": "work"}, headers={"idempotency-key": "k"}, timeout=0.2)
    worker.going.set()

    async def answered() -> Any:
        response = await ask(client, "k")
        return response if response.status_code == 202 else None

    assert (await until(answered)).json() == {"number": 1}
    assert worker.done == 1


@pytest.mark.parametrize("what", ["refuse", "break"])
async def test_what_was_refused_may_be_tried_again(client: Client, worker: Worker, what: str) -> None:
    first = await ask(client, "k", what)
    assert first.status_code in (409, 500)
    assert (await ask(client, "k", what)).status_code == first.status_code
    assert worker.done == 2


async def test_what_was_done_and_ended_badly_is_not_done_again(client: Client, worker: Worker) -> None:
    first, second = await ask(client, "k", "fail"), await ask(client, "k", "fail")
    assert worker.done == 1
    for one in (first, second):
        assert problem(one, 409, "activation_failed")["data"] == {"cause": "x"}


@pytest.mark.parametrize("path", ["/stream", "/text", "/secret"])
async def test_streams_texts_and_secrets_are_not_kept(
    client: Client, worker: Worker, database: Database, path: str
) -> None:
    for _ in range(2):
        assert (await ask(client, "k", path=path)).status_code in (200, 202)
    assert worker.done == 2
    assert await database.read(lambda c: c.execute("SELECT * FROM answers").fetchall()) == []


@pytest.mark.parametrize("key", ["", "a b", "ä", "x" * 129, "a/b", "a\tb"])
async def test_a_key_that_is_none_is_refused(client: Client, worker: Worker, key: str) -> None:
    headers = [(b"idempotency-key", key.encode("latin-1"))]
    problem(await client.post("/work", json={}, headers=headers), 422, "unprocessable")
    assert worker.done == 0


async def test_h9a_an_answer_is_there_after_a_restart_and_an_unfinished_one_is_free(
    tmp_path: Path, worker: Worker, client: Client, database: Database
) -> None:
    first = await ask(client, "k")
    await database.write(lambda txn: _unfinished(txn, "dead"))
    problem(await ask(client, "dead"), 422)  # of another request
    await database.write(free_unfinished)
    assert (await ask(client, "k")).content == first.content
    assert worker.done == 1
    assert (await ask(client, "dead")).json() == {"number": 2}


async def test_answers_are_forgotten_after_a_day(client: Client, worker: Worker, database: Database) -> None:
    await ask(client, "k")
    await database.write(prune)
    await ask(client, "k")
    assert worker.done == 1
    old = timestamp(0 - KEEP)
    await database.write(lambda txn: txn.execute("UPDATE answers SET created_at = ?", (old,)))
    await database.write(prune)
    await ask(client, "k")
    assert worker.done == 2


def _unfinished(txn: Transaction, key: str) -> None:
    txn.execute(
        "INSERT INTO answers (actor, key, request, created_at) VALUES ('admin', ?, 'x', ?)",
        (key, timestamp()),
    )
