"""What several tests of the API ask and check."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2


def problem(response: httpx2.Response, status: int, code: str | None = None) -> dict[str, Any]:
    """The problem that a response is, checked for its status and code."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert body["error"] == body["detail"] != ""
    if code is not None:
        assert body["code"] == code
    return body


async def install(client: httpx2.AsyncClient, model: str) -> dict[str, Any]:
    """The job that installed a model's weights, completed."""
    response = await client.post("/weights/install", json={"id": model})
    assert response.status_code == 202, response.text
    return await ended(client, response.headers["location"])


async def ended(client: httpx2.AsyncClient, url: str) -> dict[str, Any]:
    """A job as it is when it has ended, seen by following the events."""
    async with client.stream("GET", "/events", headers={"accept": "text/event-stream"}) as stream:
        feed = messages(stream)
        while True:
            job: dict[str, Any] = (await client.get(url)).json()
            if job["status"] not in ("pending", "running"):
                return job
            await anext(feed)


async def messages(stream: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    """The messages of an event stream: {"id", "event", "data"}, each where it was there."""
    found: dict[str, Any] = {}
    async for line in stream.aiter_lines():
        name, _, value = line.partition(": ")
        if not line and found.keys() - {"retry"}:
            yield found
        if not line:
            found = {}
        elif name == "data":
            found["data"] = json.loads(value)
        elif name:
            found[name] = value
