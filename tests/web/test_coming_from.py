"""`docs/coming-from-0.4.4.md`, walked row by row with an old client's requests against a running service."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx2
import pytest

from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes
from tests.hub.fake import FakeHub
from tests.waiting import until
from tests.web.asking import problem
from tests.web.shapes import unlike

PAGE = Path(__file__).parents[2] / "docs/coming-from-0.4.4.md"

ROUTES = {
    "GET": "/healthz /system/info /metrics /models /models/:id /models/:id/manifest /models/:id/compatibility /active"
    " /recommendations/profiles /recommendations/:gpuType /weights /weights/usage /weights/:name/info /jobs /jobs/:id"
    " /history /huggingface/search /huggingface/models/*id /vllm/supported-models /vllm/model/:architecture",
    "POST": "/models/activate /models/deactivate /models/test /refresh /catalog/preview /catalog/validate /catalog/pr"
    " /catalog/generate /weights/install /vllm/discover /vllm/model-info",
    "DELETE": "/weights/:name",
}
"""All that the original answered at 0.4.4, as its router named them."""


class Row(NamedTuple):
    route: str
    method: str
    target: str
    body: str
    status: int
    shape: str


_ROW = re.compile(
    r"\| `(?P<route>[A-Z]+ /\S+)` \| `(?P<method>[A-Z]+) (?P<target>\S+) ?(?P<body>.*?)` "
    r"\| (?:\d{3} → )?(?P<status>\d{3}) \| `?(?P<shape>.*?)`? \| .*\|"
)


def rows() -> list[Row]:
    lines = [line for line in PAGE.read_text().splitlines() if re.match(r"\| `[A-Z]+ /", line)]
    found = [_ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if match is None]
    return [Row(**match.groupdict() | {"status": int(match["status"])}) for match in found if match]


def test_no_route_is_missing_from_the_tables() -> None:
    original = {f"{method} {path}" for method, paths in ROUTES.items() for path in paths.split()}
    assert {row.route for row in rows()} == original


def test_each_row_asks_its_own_route() -> None:
    for row in rows():
        method, template = row.route.split()
        pattern = re.sub(r":\w+", "[^/]+", template).replace("*id", ".+")
        assert (row.method, bool(re.fullmatch(pattern, row.target.partition("?")[0]))) == (method, True), row


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    write_catalog(tmp_path / "catalog", {"tiny": "well"}, tiny={"hfModelId": "sshleifer/tiny-gpt2"})
    write_runtimes(tmp_path / "runtimes", [runtime("well")])
    with FakeHub() as hub:
        hub.commit("sshleifer/tiny-gpt2", {"config.json": b"{}", "model.safetensors": b"x" * 100})
        async with open_house(house_settings(tmp_path, hub_endpoint=hub.url)) as house:
            yield house


def old_client(house: House, **headers: str) -> httpx2.AsyncClient:
    """As Go's net/http asks: no content type unless one is set, the token bare."""
    headers = headers or {"Authorization": house.service.token}
    return httpx2.AsyncClient(base_url=house.service.url, headers=headers, trust_env=False, timeout=60)


async def test_every_row_is_true(house: House) -> None:
    job = ""
    async with old_client(house) as client:
        for row in rows():
            body = row.body.encode() or None
            response = await client.request(row.method, row.target.replace("JOB", job), content=body)
            assert response.status_code == row.status, f"{row}: {response.text}"
            if row.shape != "text":
                answer = response.json()
                assert unlike(row.shape, answer) == [], f"{row}: {response.text}"
                job = await settled(client, answer, job)


async def settled(client: httpx2.AsyncClient, answer: Any, job: str) -> str:
    """Wait for what an answer began, as the next row expects it done; the id of the latest job."""
    if not isinstance(answer, dict):
        return job

    async def over(path: str, key: str, under_way: tuple[str | None, ...]) -> bool:
        return (await client.get(path)).json()[key] not in under_way

    if answer.get("status") == "queued":
        job = answer["job"]["id"]
        await until(lambda: over(f"/jobs/{job}", "status", ("pending", "running")), 30)
    return job


async def test_the_ways_of_carrying_the_token(house: House) -> None:
    token = house.service.token
    for headers in ({"Authorization": f"Bearer {token}"}, {"Authorization": token}, {"X-API-Key": token}):
        async with old_client(house, **headers) as client:
            assert (await client.post("/refresh")).status_code == 200
    async with old_client(house, **{"Authorization": "wrong", "X-API-Key": token}) as client:
        assert problem(await client.post("/refresh"), 401)["error"]


async def test_what_the_page_says_in_general(house: House) -> None:
    async with old_client(house) as client:
        assert problem(await client.get("/nowhere"), 404)["error"]
        problem(await client.get("/jobs?limit=nonsense"), 422)
        assert (await client.get("/jobs?limit=1000")).status_code == 200
        body = problem(await client.post("/models/activate", content=b'{"ids":"tiny"}'), 422)
        assert (body["data"]["field"], body["hint"]) == ("ids", "Did you mean `id`?")
        form = {"content-type": "application/x-www-form-urlencoded"}
        problem(await client.post("/models/activate", content=b'{"id":"tiny"}', headers=form), 415)


async def test_events_have_the_originals_facts(house: House) -> None:
    async with old_client(house) as client:
        for name in ("sshleifer/tiny-gpt2", "sshleifer/none"):
            response = await client.post("/weights/install", content=json.dumps({"hfModelId": name}))
            await settled(client, response.json(), "")
        await client.post("/models/activate?wait=60", content=b'{"id":"tiny"}')
        await client.post("/models/deactivate")
        await client.delete("/weights/sshleifer-tiny-gpt2")
        events = (await client.get("/history?limit=200")).json()["events"]
    told = {event["event"]: event for event in events}
    for event, facts in {
        "model_activated": {"action"},
        "model_deactivated": {"action"},
        "weight_install_completed": {"path", "name", "sizeBytes"},
        "weight_install_failed": {"error"},
        "weight_deleted": set(),
    }.items():
        assert facts <= told[event].get("metadata", {}).keys(), told[event]
    assert isinstance(told["weight_install_failed"]["metadata"]["error"], str)


@pytest.mark.parametrize(("reads", "status"), [("open", 200), ("token", 401)])
async def test_reads_are_open_where_that_is_wanted(tmp_path: Path, reads: str, status: int) -> None:
    write_catalog(tmp_path / "catalog", {"tiny": "well"})
    async with (
        open_house(house_settings(tmp_path, reads=reads)) as house,
        old_client(house, accept="*/*") as client,
    ):
        assert (await client.get("/models")).status_code == status
        assert (await client.get("/healthz")).status_code == 200
        problem(await client.post("/refresh"), 401)


@pytest.mark.parametrize(
    ("shape", "value", "wrong"),
    [
        ("{a, b?}", {"a": 1}, []),
        ("{a, b?}", {"b": 1}, ["the answer lacks a"]),
        ("{a{b}}", {"a": {}}, ["the answer.a lacks b"]),
        ("{a{b}, c}", {"a": None, "c": 1}, ["the answer.a is no object"]),
        ("{a[]}", {"a": None}, ["the answer.a is no list"]),
        ("{a[{b}], c}", {"a": [], "c": 1}, []),
        ("{a[{b}], c}", {"a": [{"b": 1}, {}]}, ["the answer.a[1] lacks b", "the answer lacks c"]),
        ("[{a[{b}]}]", [{"a": [{}]}], ["the answer[0].a[0] lacks b"]),
        ("{a?{b}}", {}, []),
        ("{a}", [], ["the answer is no object"]),
    ],
)
def test_shapes(shape: str, value: Any, wrong: list[str]) -> None:
    assert unlike(shape, value) == wrong
