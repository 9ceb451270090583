"""Weights and the jobs that bring them."""

from contextlib import suppress
from typing import Any

import httpx2

from tests.house import House
from tests.waiting import until
from tests.web.asking import ended, install, problem

Client = httpx2.AsyncClient


async def test_lists_are_empty_lists_never_null(client: Client) -> None:
    weights = (await client.get("/weights")).json()
    assert weights == {"weights": [], "notOurs": []}
    assert (await client.get("/jobs")).json() == {"jobs": [], "next": None}
    assert (await client.get("/weights/usage")).json()["models"] == []
    assert (await client.get("/history?event=model_activated")).json() == {"events": [], "next": None}


async def test_install_list_info_delete(client: Client, house: House) -> None:
    job = await install(client, "demo")
    assert (job["type"], job["status"], job["error"]) == ("weight_install", "completed", None)
    assert job["payload"] == {
        "modelId": "demo", "hfModelId": "acme/Demo_1", "revision": "", "target": "acme-demo-1", "overwrite": False
    }  # fmt: skip
    (house.settings.weights_path / "theirs").mkdir()
    (house.settings.weights_path / "theirs" / "file").write_bytes(b"123")

    listed = (await client.get("/weights")).json()
    (weights,) = listed["weights"]
    assert (weights["name"], weights["sizeBytes"], weights["sizeHuman"]) == ("acme-demo-1", 400, "400 bytes")
    assert (weights["fileCount"], weights["entry"], weights["usedBy"]) == (1, "demo", [])
    assert weights["path"] == str(house.settings.weights_path / "acme-demo-1")
    assert listed["notOurs"] == [{"path": "theirs", "sizeBytes": 3, "sizeHuman": "3 bytes"}]

    info = (await client.get("/weights/acme-demo-1/info")).json()
    assert [(file["path"], file["size"], len(file["sha256"])) for file in info["files"]] == [
        ("model.bin", 400, 64)
    ]
    assert {name: value for name, value in info.items() if name != "files"} == weights

    usage = (await client.get("/weights/usage")).json()
    assert (usage["modelCount"], usage["installedBytes"], usage["models"]) == (1, 400, [weights])
    assert usage["totalBytes"] >= usage["usedBytes"] > 0

    gone = await client.delete("/weights/acme-demo-1")
    assert gone.json() == {"status": "success", "message": "Deleted weights for acme-demo-1"}
    problem(await client.get("/weights/acme-demo-1/info"), 404, "not_found")
    problem(await client.delete("/weights/acme-demo-1"), 404, "not_found")


async def test_weights_in_use_are_not_deleted_and_the_user_is_named(client: Client) -> None:
    await client.post("/models/activate?wait=30", json={"id": "pirate", "slot": "second"})
    body = problem(await client.delete("/weights/pirate"), 409, "conflict")
    assert "second" in body["detail"]
    assert (await client.get("/weights")).json()["weights"][0]["usedBy"] == ["slot second"]
    await client.post("/models/deactivate", json={"slot": "second"})


NAMES = ("..", "%2e%2e", "a/../../b", "-rf", ".staging", "%00", "x" * 300, "a%0ab", "~", "a//b", "usage")


async def test_h7a_names_never_leave_the_root(client: Client, house: House) -> None:
    outside = house.settings.weights_path.parent / "b"
    outside.mkdir()
    for name in NAMES:
        for method, path in (("DELETE", f"/weights/{name}"), ("GET", f"/weights/{name}/info")):
            response = await client.request(method, path)
            assert response.status_code in (400, 404), (method, name, response.text)
    assert outside.is_dir()


INSTALLS_THAT_CANNOT_BE: tuple[tuple[dict[str, object], int], ...] = (
    ({}, 400),
    ({"id": "demo", "hfModelId": "a/b"}, 400),
    ({"id": "none"}, 404),
    ({"hfModelId": "../../etc"}, 422),
    ({"hfModelId": "a/b", "target": "../b"}, 400),
    ({"hfModelId": "a/b", "target": "/etc"}, 400),
    ({"hfModelId": "a/b", "files": "x"}, 422),
    ({"id": "demo", "force": True}, 422),
)


async def test_installs_that_cannot_be(client: Client) -> None:
    for payload, status in INSTALLS_THAT_CANNOT_BE:
        problem(await client.post("/weights/install", json=payload), status)
    assert (await client.get("/jobs")).json() == {"jobs": [], "next": None}


async def test_a_failed_job_tells_why_can_be_retried_and_has_a_log(client: Client, house: House) -> None:
    weights = house.settings.catalog_root / "weights" / "demo" / "model.bin"
    data = weights.read_bytes()
    weights.unlink()
    job = await install(client, "demo")
    assert job["status"] == "failed"
    assert job["error"]
    assert job["hint"]
    assert (await client.get("/jobs?status=failed")).json()["jobs"] == [job]
    assert (await client.get("/jobs?status=completed")).json()["jobs"] == []
    log = (await client.get(f"/jobs/{job['id']}/logs")).json()
    assert (log["jobId"], isinstance(log["lines"], list)) == (job["id"], True)

    weights.write_bytes(data)
    again = (await client.post(f"/jobs/{job['id']}/retry")).json()
    assert again["id"] == job["id"]
    assert (await ended(client, f"/jobs/{job['id']}"))["status"] == "completed"
    problem(await client.post(f"/jobs/{job['id']}/cancel"), 409, "conflict")


async def test_an_unknown_job_is_a_problem(client: Client) -> None:
    for path in ("/jobs/none", "/jobs/none/logs"):
        problem(await client.get(path), 404, "not_found")


OUT_OF_BOUNDS = (
    "/jobs?limit=0", "/jobs?limit=1001", "/jobs?limit=-1", "/jobs?status=done", "/jobs?page=2",
    "/history?limit=99999999999999999999", "/history?before=--1", "/history?before=99999999999999999999",
    "/events?after=x", "/events?after=-99999999999999999999", "/activations?limit=NaN", "/slots/second/logs?lines=0",
    "/slots/second/logs?follow=perhaps", "/models?limit=0",
)  # fmt: skip


async def test_h10a_bounds_of_every_list(client: Client) -> None:
    for path in OUT_OF_BOUNDS:
        problem(await client.get(path), 422, "unprocessable")


async def test_h9a_an_install_that_is_asked_for_again_is_the_same_job(client: Client, house: House) -> None:
    """Asked twice, and once more by a client that gave up waiting; then without a key, after it is done: a new one."""
    headers = {"idempotency-key": "install-1"}
    first = await client.post("/weights/install", json={"id": "demo"}, headers=headers)
    with suppress(httpx2.TimeoutException):
        await client.post("/weights/install", json={"id": "demo"}, headers=headers, timeout=0.001)

    async def answered() -> Any:  # unless the one that was given up is still being answered
        answer = await client.post("/weights/install", json={"id": "demo"}, headers=headers)
        return answer if answer.status_code != 409 else None

    again = await until(answered)
    assert again.json()["job"]["id"] == first.json()["job"]["id"]
    job = await ended(client, first.headers["location"])
    assert job["status"] == "completed"
    late = await client.post("/weights/install", json={"id": "demo"}, headers=headers)
    assert (late.content, late.headers["idempotent-replayed"]) == (first.content, "true")
    assert len((await client.get("/jobs")).json()["jobs"]) == 1
    problem(
        await client.post("/weights/install", json={"id": "pirate"}, headers=headers), 422, "unprocessable"
    )
