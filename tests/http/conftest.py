"""A small application with one route of each kind."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Annotated, Any

import httpx2
import pytest
from msgspec import Meta, Struct

from model_manager.errors import Conflict
from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.http.routing import Encoded, Reply, Request, Route
from model_manager.http.sse import EventStream, Message
from model_manager.tokens import Keyring
from tests.http.live import TOKEN, serving


class Paging(Struct, forbid_unknown_fields=True):
    limit: Annotated[int, Meta(ge=1, le=100)] = 10
    newest: bool = True
    kinds: tuple[str, ...] = ()


class Part(Struct, forbid_unknown_fields=True, rename="camel"):
    file_name: str


class Order(Struct, forbid_unknown_fields=True, rename="camel"):
    id: str
    parts: tuple[Part, ...] = ()
    max_len: Annotated[int, Meta(ge=0)] = 0


class Note(Struct, forbid_unknown_fields=True):
    text: str = ""
    more: Any = None


class Thing(Struct, rename="camel"):
    name: str
    of_context: str = ""
    items: list[str] = []


async def health(_: str) -> Thing:
    """Nothing but alive."""
    return Thing("alive")


async def list_things(context: str, query: Paging) -> list[Thing]:
    """Some things.

    The second paragraph describes.
    """
    return [Thing(f"{query.limit}", context, [str(query.newest), *query.kinds])]


async def get_thing(context: str, name: str, request: Request) -> Thing:
    """One thing."""
    return Thing(name, context, [request.id, request.actor])


async def order(_: str, body: Order) -> Reply[Thing]:
    """Order a thing."""
    return Reply(Thing(body.id), headers={"location": f"/things/{body.id[:20]}"})


async def note(_: str, body: Note | None) -> Thing:
    """Leave a note, or none."""
    return Thing(body.text if body else "nothing")


async def conflict(_: str) -> Thing:
    """Always refused."""
    raise Conflict("It is taken.", "Take another.", by=["a", "b"])


async def broken(_: str) -> Thing:
    """Always a defect."""
    raise RuntimeError("the secret cause")


async def encoded(_: str) -> Encoded[list[Thing]]:
    """Encoded before."""
    return Encoded(b"[]")


async def ask_model(_: str) -> Thing:
    """Stands for the gateway."""
    return Thing("answer")


async def stream(_: str, query: Paging) -> EventStream | Thing:
    """`limit` messages, then silence."""

    async def messages() -> AsyncGenerator[Message, None]:
        for number in range(query.limit):
            yield Message({"line": "a\nb\u2028c"}, id=number, event="line")
        await asyncio.Event().wait()

    return EventStream(messages(), heartbeat=0.05)


ROUTES = [
    Route("GET", "/healthz", health),
    Route("GET", "/things", list_things),
    Route("POST", "/things", order, status=202),
    Route("GET", "/things/{name:path}/info", get_thing),
    Route("POST", "/notes", note),
    Route("GET", "/conflict", conflict),
    Route("GET", "/broken", broken),
    Route("GET", "/encoded", encoded),
    Route("POST", "/v1/ask", ask_model),
    Route("GET", "/stream", stream),
]


@pytest.fixture
def closing() -> asyncio.Event:
    return asyncio.Event()


@pytest.fixture
def seen() -> list[tuple[str, str | None, int]]:
    """(method, route, status) of every answered request."""
    return []


@pytest.fixture
async def client(
    closing: asyncio.Event, seen: list[tuple[str, str | None, int]]
) -> AsyncIterator[httpx2.AsyncClient]:
    """Reads are open, writes need the token; the client sends none by itself."""
    app = application(
        [route.bound("here") for route in ROUTES],
        version="1.2.3",
        auth=Auth(Keyring(TOKEN), loopback=True),
        closing=closing,
        observe=lambda method, route, status, _: seen.append((method, route, status)),
    )
    async with serving(app) as client:
        yield client


@pytest.fixture
def authorized() -> dict[str, str]:
    return {"authorization": f"Bearer {TOKEN}"}
