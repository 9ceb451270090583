"""`/metrics` and `/metrics/history` of a whole house."""

import asyncio

import httpx2
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import Message, Scope

from model_manager.errors import StateError
from model_manager.web.metrics_history import take_sample
from tests.house import House
from tests.waiting import until
from tests.web.asking import install

Client = httpx2.AsyncClient


async def scrape(client: Client) -> dict[tuple[str, ...], float]:
    """(name, label value, …) -> value."""
    text = (await client.get("/metrics")).text
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def scraped_with(client: Client, name: tuple[str, ...]) -> dict[tuple[str, ...], float] | None:
    """A scrape in which this has been counted: the loop counts what it did after it was committed."""
    found = await scrape(client)
    return found if found[name] else None


async def test_a_house_at_work_in_numbers(client: Client, house: House) -> None:
    await house.active("demo")
    status, _ = await house.chat()
    assert status == 200
    broken = await house.ended(await house.activate("broken", "second"))
    assert broken.result == "failed"
    found = await until(lambda: scraped_with(client, ("model_manager_activations_total", "failed", "second")))
    states = {key[1:]: value for key, value in found.items() if key[0] == "model_manager_slot"}
    assert states == {
        ("active-llm", "desired"): 1, ("active-llm", "serving"): 1, ("active-llm", "as_desired"): 1,
        ("active-llm", "failed"): 0,
        ("second", "desired"): 1, ("second", "serving"): 0, ("second", "as_desired"): 0, ("second", "failed"): 1,
    }  # fmt: skip
    assert found["model_manager_activations_total", "active", "active-llm"] == 1
    assert found["model_manager_activations_total", "failed", "second"] == 1
    assert found["model_manager_activation_phase_seconds_count", "verifying", "active-llm"] == 1
    assert found["model_manager_gateway_requests_total", "/v1/chat/completions", "active-llm", "200"] == 1
    assert (
        found["model_manager_gateway_time_to_first_token_seconds_count", "/v1/chat/completions", "active-llm"]
        == 1
    )
    assert found["model_manager_jobs_unfinished", "weight_install", "running"] == 0
    assert found["model_manager_catalog_entries",] == 4
    assert found["model_manager_catalog_problems",] == 1
    assert found["model_manager_catalog_refresh_failing",] == 0
    assert 0 <= found["model_manager_catalog_age_seconds",] < 60
    assert found["model_manager_weights_folders",] == 2
    assert found["model_manager_disk_total_bytes",] > found["model_manager_disk_available_bytes",] > 0
    assert found["model_manager_disk_reserve_bytes",] == 0
    events = await house.parts.events.page(limit=1, newest_first=True)
    assert found["model_manager_events_total",] == events[0].seq
    assert found["model_manager_http_connections",] >= 1
    assert found["model_manager_gateway_in_flight", "active-llm"] == 0
    build = next(key for key in found if key[0] == "model_manager_build_info")
    assert set(build) >= {"local", house.parts.version}


async def test_bytes_that_installs_moved_are_counted(client: Client) -> None:
    await install(client, "demo")
    assert (await scrape(client))["model_manager_installed_bytes_total",] == len(b"demo" * 100)


async def test_readers_of_the_feed_are_counted(client: Client, house: House) -> None:
    async with house.parts.events.subscribe():
        assert (await scrape(client))["model_manager_event_subscribers",] == 1
    assert (await scrape(client))["model_manager_event_subscribers",] == 0


async def test_h11a_ten_thousand_strange_paths_add_one_series(client: Client, house: House) -> None:
    """Past the sockets, which have nothing to do with it and would take most of the time."""
    await client.get("/metrics")
    before = set(await scrape(client))
    headers = [(b"host", b"127.0.0.1"), (b"authorization", f"Bearer {house.service.token}".encode())]

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        assert message.get("status", 404) == 404

    for number in range(10_000):
        path = f"/nowhere-{number}/{number:x}"
        scope: Scope = {
            "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
            "headers": list(headers), "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 2), "scheme": "http",
            "root_path": "", "http_version": "1.1",
        }  # fmt: skip
        await house.service.asgi(scope, receive, send)
    new = {key for key in set(await scrape(client)) - before if key[0] == "model_manager_http_requests_total"}
    assert new == {("model_manager_http_requests_total", "GET", "unmatched", "404")}


async def test_what_cannot_be_read_is_left_out(client: Client, house: House) -> None:
    def broken(**_: object) -> None:
        raise StateError("The state file cannot be read.")

    house.parts.jobs.list = broken  # type: ignore[method-assign, assignment]
    found = await scrape(client)
    assert not any(key[0] == "model_manager_jobs_unfinished" for key in found)
    assert found["model_manager_catalog_entries",] == 4


async def test_the_last_hours_in_columns(client: Client, house: House) -> None:
    await house.active("demo")
    await take_sample(house.parts)
    for _ in range(3):
        assert (await house.chat())[0] == 200
    await asyncio.sleep(0.01)
    await take_sample(house.parts)
    history = (await client.get("/metrics/history")).json()
    assert history["step"] == 30
    columns = {name: value for name, value in history.items() if isinstance(value, list)}
    assert {len(column) for column in columns.values()} == {len(history["time"])}
    assert history["slots"]["active-llm"][-1] == "active"
    assert history["slots"]["second"][-1] == "empty"
    assert history["requestsPerSecond"][-1] > 0
    assert history["weightsBytes"][-1] == 400
    assert history["memoryBytes"][-1] > 1e7
    later = (await client.get("/metrics/history", params={"since": history["time"][-1]})).json()
    assert later["time"] == []


async def test_a_step_out_of_bounds_is_refused(client: Client) -> None:
    for query in ({"step": 1}, {"step": 30_000}, {"since": -1}, {"since": "nan"}):
        assert (await client.get("/metrics/history", params=query)).status_code == 422, query
