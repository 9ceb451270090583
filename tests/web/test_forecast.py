"""Forecasts of a running service: from its own history, without starting anything."""

import time
from typing import Any

import httpx2

from model_manager.serving.ledger import Row
from tests.house import House
from tests.waiting import until
from tests.web.asking import install, problem

Client = httpx2.AsyncClient


async def forecast(client: Client, **query: str) -> dict[str, Any]:
    response = await client.get("/activations/forecast", params=query)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def test_before_anything_was_done_bytes_are_all_that_is_known(client: Client) -> None:
    """The weights of the test catalog lie beside it, so their size is known before they are installed."""
    found = await forecast(client, model="demo")
    assert (found["bytesToFetch"], found["seconds"], found["basedOn"]) == (400, None, 0)
    assert found["downtimeSeconds"] == 0
    assert len(found["notes"]) == 2


async def test_what_was_loaded_before_tells_how_long_it_takes(client: Client, house: House) -> None:
    await client.put("/slots/active-llm?wait=30", json={"model": "demo"})
    serving = await forecast(client, model="demo")
    assert (serving["seconds"], serving["notes"]) == (0, ["demo serves already: there is nothing to do."])

    await client.put("/slots/active-llm?wait=30", json={"model": "pirate"})
    back = await forecast(client, model="demo")
    assert (back["bytesToFetch"], back["installSeconds"], back["basedOn"], back["notes"]) == (0, 0, 1, [])
    assert 0 < back["seconds"] < 10
    assert back["downtimeSeconds"] == back["seconds"]
    elsewhere = await forecast(client, model="demo", slot="second")
    assert (elsewhere["downtimeSeconds"], elsewhere["stopSeconds"], elsewhere["basedOn"]) == (0, 0, 1)

    await install(client, "slow")
    like = await forecast(client, model="slow")
    assert like["basedOn"] == 2
    assert "scaled" in like["notes"][0]

    new = await forecast(client, model="broken")
    assert (new["bytesToFetch"], new["installSeconds"] is not None) == (600, True)
    assert len(await events(house)) == 2, "a forecast leaves no trace"


async def events(house: House) -> list[Any]:
    return await house.parts.events.page(kind="activation_queued")


async def test_forecasts_that_cannot_be(client: Client) -> None:
    problem(await client.get("/activations/forecast"), 422)
    problem(await client.get("/activations/forecast?model=none"), 404)
    problem(await client.get("/activations/forecast?model=demo&slot=third"), 404)


async def test_weights_of_the_hub_have_no_known_size_before_they_are_asked_for(
    client: Client, house: House
) -> None:
    models = house.settings.catalog_root / "models"
    (models / "far.json").write_text('{"id": "far", "hfModelId": "acme/far", "runtime": "well"}')
    (models / "told.json").write_text(
        '{"id": "told", "runtime": "well", "source": {"uri": "https://x.example/", "files": ['
        f'{{"path": "a.gguf", "size": 70, "sha256": "{"0" * 64}"}},'
        f'{{"path": "b.gguf", "size": 7, "sha256": "{"1" * 64}"}}]}}}}'
    )
    await client.post("/refresh")
    found = await forecast(client, model="far")
    assert (found["bytesToFetch"], found["seconds"]) == (None, None)
    assert found["notes"][0].startswith("How many bytes have to be fetched is known once")
    assert (await forecast(client, model="told"))["bytesToFetch"] == 77


async def test_the_gateway_is_told_when_a_model_is_expected(client: Client, house: House) -> None:
    """`late` keeps its slot in `starting`; a model of the same size was loaded before, and so there is a forecast."""
    await client.put("/slots/second?wait=30", json={"model": "demo"})
    await client.put("/slots/active-llm", json={"model": "slow"})
    coming = house.parts.targets._coming
    await until(lambda: "active-llm" in coming and coming["active-llm"].phase == "starting")
    ready_at = coming["active-llm"].ready_at
    assert ready_at is not None
    assert -5 < ready_at - time.monotonic() < 10


async def test_a_forecast_that_fails_holds_nothing_up(client: Client, house: House) -> None:
    async def fails(row: Row, *, replaces: bool) -> float:
        raise RuntimeError

    house.parts.forecaster.left = fails  # type: ignore[method-assign]
    assert (await client.put("/slots/active-llm?wait=30", json={"model": "demo"})).status_code == 200
