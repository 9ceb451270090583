"""Slots and the logs of their model servers."""

import asyncio

import httpx2
import pytest

from model_manager.serving.platform import Difference
from model_manager.web.slots import new_lines
from tests.house import House
from tests.web.asking import messages, problem

Client = httpx2.AsyncClient


async def test_slots_say_what_is_wanted_and_what_serves(client: Client) -> None:
    slots = (await client.get("/slots")).json()["slots"]
    assert [(slot["name"], slot["state"], slot["desired"]) for slot in slots] == [
        ("active-llm", "empty", None),
        ("second", "empty", None),
    ]
    await client.post("/models/activate?wait=30", json={"id": "demo", "slot": "second"})
    slot = (await client.get("/slots/second")).json()
    assert (slot["state"], slot["serving"], slot["desired"]["modelId"]) == ("active", "demo", "demo")
    assert slot["desired"]["fetchedBy"] == "model-manager"
    activations = (await client.get("/activations?slot=second")).json()["activations"]
    assert activations == [slot["desired"]]
    assert (await client.get("/activations?slot=active-llm")).json() == {"activations": [], "next": None}


async def test_a_slot_says_what_others_changed_field_by_field(
    client: Client, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = Difference("spec.predictor.model.args", ["--x"], ["--y"], "kubectl-edit")
    monkeypatch.setattr(house.parts.platform, "drift", lambda manifest: (changed,))
    assert (await client.get("/slots/second")).json()["drift"] == [], (
        "nothing is applied, nothing has changed"
    )
    await client.post("/models/activate?wait=30", json={"id": "demo", "slot": "second"})
    assert (await client.get("/slots/second")).json()["drift"] == [
        {"field": "spec.predictor.model.args", "wanted": ["--x"], "found": ["--y"], "by": "kubectl-edit"}
    ]


async def test_an_unknown_slot_is_a_problem(client: Client) -> None:
    for path in ("/slots/third", "/slots/third/logs"):
        problem(await client.get(path), 404, "not_found")


async def test_a_slots_model_is_put_at_once_or_waited_for(client: Client) -> None:
    """202 with where to look, 200 as soon as it serves; the same wish again is the same activation."""
    accepted = await client.put("/slots/second", json={"model": "demo"})
    assert (accepted.status_code, accepted.json()["modelId"]) == (202, "demo")
    assert accepted.headers["location"] == f"/activations/{accepted.json()['id']}"
    served = await client.put("/slots/second?wait=30", json={"model": "demo"})
    assert (served.status_code, served.json()["id"]) == (200, accepted.json()["id"])
    again = await client.put("/slots/second", json={"model": "demo"})
    assert (again.status_code, again.json()["serving"]) == (200, True)
    other = await client.put("/slots/second", json={"model": "pirate"}, headers={"prefer": "wait=30"})
    assert (other.status_code, (await client.get("/slots/second")).json()["serving"]) == (200, "pirate")

    page = (await client.get("/slots/second/activations?limit=1")).json()
    assert [one["id"] for one in page["activations"]] == [other.json()["id"]]
    rest = (await client.get("/slots/second/activations", params={"cursor": page["next"]})).json()
    assert [one["id"] for one in rest["activations"]] == [accepted.json()["id"]]
    assert (await client.get("/slots/active-llm/activations")).json()["activations"] == []


async def test_a_slot_is_emptied_also_twice(client: Client) -> None:
    await client.put("/slots/second?wait=30", json={"model": "demo"})
    for _ in range(2):
        emptied = await client.delete("/slots/second")
        assert (emptied.status_code, emptied.json()["state"]) == (200, "empty")
        assert emptied.json()["desired"] is None


async def test_what_cannot_be_put_into_a_slot(client: Client) -> None:
    problem(await client.put("/slots/second?wait=30", json={"model": "broken"}), 409, "activation_failed")
    problem(await client.put("/slots/second", json={"model": "none"}), 404)
    problem(await client.put("/slots/third", json={"model": "demo"}), 404)
    problem(await client.put("/slots/second", json={"id": "demo"}), 422)
    problem(await client.put("/slots/second?wait=-1", json={"model": "demo"}), 422)
    problem(await client.delete("/slots/third"), 404)
    problem(await client.get("/slots/third/activations"), 404)


async def test_logs_are_lines_or_a_stream_of_lines(client: Client) -> None:
    assert (await client.get("/slots/second/logs")).json() == {"slot": "second", "lines": []}
    await client.post("/models/activate?wait=30", json={"id": "demo", "slot": "second"})
    lines = (await client.get("/slots/second/logs")).json()["lines"]
    assert any(line.startswith("listening on") for line in lines)
    assert (await client.get("/slots/second/logs?lines=1")).json()["lines"] == lines[-1:]
    stream_accepted = {"accept": "text/event-stream"}
    async with (
        asyncio.timeout(10),
        client.stream("GET", "/slots/second/logs?lines=1", headers=stream_accepted) as stream,
    ):
        feed = messages(stream)
        assert (await anext(feed))["data"]["line"] == lines[-1]
        await client.post("/models/activate?wait=30", json={"id": "pirate", "slot": "second"})
        while not (await anext(feed))["data"]["line"].startswith("listening on"):
            pass


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ([], [], []),
        ([], ["a"], ["a"]),
        (["a"], ["a"], []),
        (["a", "b"], ["a", "b", "c"], ["c"]),
        (["a", "b", "c"], ["b", "c", "d"], ["d"]),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        (["b"], ["a", "b", "c"], ["a", "b", "c"]),
        (["x", "x"], ["x", "x", "x"], ["x"]),
        (["a", "b"], [], []),
    ],
)
def test_new_lines_of_a_followed_log(before: list[str], now: list[str], new: list[str]) -> None:
    assert new_lines(before, now) == new


async def test_why_a_slot_serves_what_it_serves(client: Client) -> None:
    problem(await client.get("/slots/third/why"), 404, "not_found")
    empty = (await client.get("/slots/second/why")).json()
    assert (empty["code"], empty["state"], empty["activation"]) == ("empty", "empty", None)
    assert "`model-manager slots set second ID`" in empty["next"]
    await client.put("/slots/second?wait=30", json={"model": "demo"})
    served = (await client.get("/slots/second/why")).json()
    assert (served["code"], served["cause"], served["serving"]) == (
        "serving",
        "demo serves, as is wanted.",
        "demo",
    )
    (process,) = served["evidence"]["pods"]
    assert (process["ready"], process["activation"]) == (True, served["activation"])
    assert any(line.startswith("listening on") for line in served["log"])


async def test_why_after_a_failure_names_it_with_its_log_and_what_serves_instead(client: Client) -> None:
    await client.put("/slots/second?wait=30", json={"model": "demo"})
    await client.put("/slots/second?wait=30", json={"model": "broken"})
    failed = (await client.get("/activations?slot=second&model=broken")).json()["activations"][0]
    found = (await client.get("/slots/second/why")).json()
    assert (found["code"], found["activation"]) == (failed["code"], failed["id"])
    assert found["cause"].startswith(f"broken failed: {failed['reason']}. ")
    assert found["next"] == f"{failed['hint']} `model-manager slots set second broken` tries it again."
    assert found["log"] == failed["logTail"]
    assert [pod["exitCode"] for pod in found["evidence"]["pods"]] == [3], "as it was seen when it failed"
