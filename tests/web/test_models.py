"""The catalog over HTTP, and activating from it."""

import httpx2
import pytest

from model_manager.web.models import preferred_wait
from tests.house import House
from tests.web.asking import problem

Client = httpx2.AsyncClient


async def test_models_are_a_bare_array_with_the_originals_fields(client: Client) -> None:
    models = {model["id"]: model for model in (await client.get("/models")).json()}
    assert set(models) == {"demo", "pirate", "broken", "slow"}
    assert models["demo"]["displayName"] == "The demo"
    assert models["demo"]["hfModelId"] == "acme/Demo_1"
    assert models["demo"]["runtime"] == "well"
    assert models["pirate"]["displayName"] == "pirate"
    assert "hfModelId" not in models["pirate"]


async def test_one_model_is_its_whole_entry(client: Client) -> None:
    entry = (await client.get("/models/demo")).json()
    assert entry == {
        "id": "demo", "displayName": "The demo", "hfModelId": "acme/Demo_1", "runtime": "well", "tags": ["a"],
        "vllm": {"maxModelLen": 5}, "source": {"uri": "file:weights/demo"},
    }  # fmt: skip


async def test_an_unknown_model_is_a_problem(client: Client) -> None:
    """Also one that is called like a route."""
    for path in ("/models/demos", "/models/demos/manifest", "/models/activate"):
        problem(await client.get(path), 404, "not_found")


async def test_the_manifest_that_activating_would_want(client: Client) -> None:
    answer = (await client.get("/models/demo/manifest", params={"slot": "second"})).json()
    assert answer["manifest"]["kind"] == "InferenceService"
    assert answer["manifest"]["metadata"]["name"] == "second"
    assert answer["model"]["id"] == "demo"
    problem(await client.get("/models/demo/manifest?slot=third"), 404)


async def test_refresh_lists_models_and_problems(client: Client, house: House) -> None:
    (house.settings.catalog_root / "models" / "pirate.json").unlink()
    answer = (await client.post("/refresh")).json()
    assert (answer["status"], answer["message"]) == ("success", "Catalog refreshed")
    assert [model["id"] for model in answer["models"]] == ["broken", "demo", "slow"]
    assert [(one["file"], one["line"], one["field"]) for one in answer["problems"]] == [
        ("models/bad.json", 2, "vllm")
    ]
    assert (await client.get("/catalog/problems")).json()["problems"] == answer["problems"]


async def test_activate_accepts_at_once_and_tells_where_to_look(client: Client) -> None:
    response = await client.post("/models/activate", json={"id": "slow"})
    assert response.status_code == 202
    answer = response.json()
    assert answer["status"] == "accepted"
    assert response.headers["location"] == answer["url"] == f"/activations/{answer['activation']['id']}"
    activation = (await client.get(answer["url"])).json()
    assert (activation["modelId"], activation["slot"], activation["result"]) == ("slow", "active-llm", None)
    assert (await client.get("/active")).json()["status"] == "none"


async def test_activate_waits_until_it_serves(client: Client) -> None:
    """By the query, or by the header."""
    assert (await client.get("/active")).json() == {
        "status": "none", "slot": "active-llm", "message": "No active model"
    }  # fmt: skip
    response = await client.post("/models/activate?wait=30", json={"id": "demo"})
    assert response.status_code == 200, response.text
    answer = response.json()
    assert (answer["status"], answer["message"]) == ("success", "Model demo activated")
    assert answer["inferenceservice"] == {"action": "created", "name": "active-llm"}
    assert answer["model"]["id"] == "demo"
    assert answer["activation"]["result"] == "active"
    active = (await client.get("/active")).json()
    assert (active["status"], active["modelId"]) == ("active", "demo")
    assert active["inferenceservice"]["metadata"]["name"] == "active-llm"

    response = await client.post("/models/activate", json={"id": "pirate"}, headers={"prefer": "wait=30"})
    assert (response.status_code, response.json()["inferenceservice"]["action"]) == (200, "updated")


async def test_the_query_decides_about_waiting_where_both_ask(client: Client) -> None:
    response = await client.post(
        "/models/activate?wait=0", json={"id": "slow"}, headers={"prefer": "wait=30"}, timeout=10
    )
    assert response.status_code == 202


async def test_a_failure_that_was_waited_for_is_a_problem_with_its_cause(client: Client) -> None:
    response = await client.post("/models/activate?wait=30", json={"id": "broken"})
    body = problem(response, 409, "activation_failed")
    assert body["detail"].startswith("broken did not become active: ")
    activation = (await client.get(f"/activations/{body['data']['activation']}")).json()
    assert (activation["result"], activation["reason"] in body["detail"]) == ("failed", True)
    assert body["data"]["exitCode"] == activation["exitCode"] == 3
    assert body["hint"] == activation["hint"]


async def test_a_wait_that_is_over_before_the_end_is_accepted(client: Client) -> None:
    response = await client.post("/models/activate?wait=1", json={"id": "slow"})
    assert (response.status_code, response.json()["status"]) == (202, "accepted")


async def test_an_activation_under_way_can_be_cancelled(client: Client) -> None:
    asked = (await client.post("/models/activate", json={"id": "slow"})).json()
    cancelled = await client.post(f"{asked['url']}/cancel")
    assert cancelled.json()["result"] == "cancelled"
    problem(await client.post(f"{asked['url']}/cancel"), 409, "conflict")
    problem(await client.post("/activations/nothing/cancel"), 404)


ACTIVATIONS_THAT_CANNOT_BE: tuple[tuple[dict[str, object], int, str], ...] = (
    ({"id": "none"}, 404, ""),
    ({"id": "demo", "slot": "third"}, 404, "active-llm, second"),
    ({"id": "bad"}, 404, "models/bad.json:2"),
    ({}, 422, "id, slot"),
    ({"id": 3}, 422, ""),
    ({"id": "demo", "solt": "second"}, 422, "Did you mean `slot`?"),
)


async def test_activations_that_cannot_be(client: Client) -> None:
    for payload, status, hint in ACTIVATIONS_THAT_CANNOT_BE:
        body = problem(await client.post("/models/activate", json=payload), status)
        assert hint in body["hint"]
    assert (await client.get("/activations")).json() == {"activations": [], "next": None}


async def test_deactivate_twice(client: Client) -> None:
    await client.post("/models/activate?wait=30", json={"id": "demo"})
    answers = [(await client.post("/models/deactivate")).json() for _ in range(2)]
    assert [answer["result"] for answer in answers] == [
        {"action": "deleted", "name": "active-llm"},
        {"action": "already_deleted", "name": "active-llm"},
    ]
    assert answers[0]["status"] == "success"
    assert answers[0]["message"] == "Active model deactivated"
    assert (await client.get("/active")).json()["status"] == "none"
    other = await client.post("/models/deactivate", json={"slot": "second"})
    assert other.json()["result"]["name"] == "second"


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        (None, 0),
        ("", 0),
        ("wait=30", 30),
        ("respond-async, wait=10", 10),
        ('Wait="7"; x=y', 7),
        ("wait=99999", 3600),
        ("wait=-1", 0),
        ("wait=1e3", 0),
        ("await=5", 0),
        ("wait=9999999999999", 0),
    ],
)
def test_prefer_wait(prefer: str | None, seconds: int) -> None:
    assert preferred_wait(prefer) == seconds
