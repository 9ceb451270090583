"""Looking at an entry before it is in the catalog."""

import json
from typing import Any

import httpx2
import pytest

from model_manager.catalog.entry import DECODER
from model_manager.errors import Unprocessable
from model_manager.serving.findings import Finding
from model_manager.serving.validation import Found, checks
from tests.house import House
from tests.web.asking import install, problem

Client = httpx2.AsyncClient
GOOD: dict[str, Any] = {"id": "fresh", "hfModelId": "acme/fresh", "runtime": "well"}


async def test_the_manifest_that_an_entry_would_become(client: Client) -> None:
    answer = (await client.post("/catalog/preview?slot=second", json=GOOD)).json()
    assert (answer["status"], answer["model"]) == ("success", GOOD)
    assert answer["manifest"]["metadata"]["name"] == "second"
    assert answer["manifest"]["spec"]["predictor"]["model"]["runtime"] == "well"
    assert answer["validation"]["valid"] is True
    assert "fresh" not in (await client.get("/models")).text


async def test_a_preview_of_what_could_not_be_served_warns(client: Client) -> None:
    answer = (await client.post("/catalog/preview", json={"id": "fresh", "storageUri": "s3://a/b"})).json()
    assert (answer["status"], answer["validation"]["valid"]) == ("warning", False)
    assert answer["manifest"]["spec"]["predictor"]["model"]["storageUri"] == "s3://a/b"


async def test_what_cannot_be_rendered_is_refused_with_the_sentence(client: Client) -> None:
    body = problem(await client.post("/catalog/preview", json={**GOOD, "args": ["--x=$(TOKEN)"]}), 400)
    assert "$(TOKEN)" in body["error"]
    body = problem(await client.post("/catalog/preview", content=b'{"id": "fresh",\n"vllm": 3}'), 400)
    assert "body:2:" in body["error"]
    assert body["data"]["problems"][0]["field"] == "vllm"
    problem(await client.post("/catalog/preview?slot=third", json=GOOD), 404)


async def test_validation_of_an_entry_that_could_be_served(client: Client) -> None:
    response = await client.post("/catalog/validate", json=GOOD)
    answer = response.json()
    assert (response.status_code, answer["valid"], answer["errors"], answer["error"]) == (200, True, [], None)
    assert [(one["name"], one["status"]) for one in answer["checks"]] == [
        ("catalog", "pass"), ("manifest", "pass"), ("storage", "pass"), ("local-cache", "warn"),
        ("runtime", "pass"),
    ]  # fmt: skip
    assert answer["generatedAt"].endswith("Z")


async def test_validation_knows_what_is_installed_and_what_it_would_replace(
    client: Client, house: House
) -> None:
    await install(client, "demo")
    checks = (await client.post("/catalog/validate", json=(await client.get("/models/demo")).json())).json()[
        "checks"
    ]
    found = {one["name"]: one for one in checks}
    assert found["local-cache"]["status"] == "pass"
    assert found["local-cache"]["metadata"] == {"sizeBytes": 400}
    assert found["catalog"]["message"] == "It would replace models/demo.json."


WRONG: tuple[tuple[bytes, str], ...] = (
    (b"", "is empty"),
    (b"{", "is not valid JSON"),
    (b'{"id": "a", "id": "b"}', "is there twice"),
    (b'{"id": "a", "displayName": "\\ud800"}', "surrogate"),
    (b'{"id": "\xff"}', "UTF-8"),
    (b'{"id": "A B", "hfModelId": "x"}', ""),
    (b"[]", "must hold one JSON object"),
    (b'{"id": "a", "storageUri": ""}', "names no source"),
    (b'{"id": "a", "hfModelId": "a/b", "storageUri": "pvc://c/../d"}', ""),
)


async def test_h12a_validation_of_what_is_wrong(client: Client) -> None:
    for body, says in WRONG:
        response = await client.post("/catalog/validate", content=body)
        answer = response.json()
        assert (response.status_code, answer["valid"]) == (400, False), body
        assert says in answer["error"], answer
        assert isinstance(answer["errors"], list)
        assert response.headers["content-type"] == "application/json"
    problem(
        await client.post("/catalog/validate", content=b"{}", headers={"content-type": "text/plain"}), 415
    )
    problem(await client.post("/catalog/validate", content=b" " * (1 << 20) + b"{}"), 413)


async def test_unknown_fields_are_warnings_with_a_guess(client: Client) -> None:
    answer = (await client.post("/catalog/validate", json={**GOOD, "hfRevison": "x"})).json()
    assert answer["valid"] is True
    assert [(one["severity"], one["field"], one["hint"]) for one in answer["problems"]] == [
        ("warning", "hfRevison", "did you mean `hfRevision`?")
    ]


async def test_what_gos_encoder_writes_for_unset_fields_is_unset(client: Client) -> None:
    unset = {"displayName": "", "servedModelName": "", "storageUri": "", "nodeSelector": None, "tolerations": None,
             "resources": None, "env": [], "vllm": None}  # fmt: skip
    answer = (await client.post("/catalog/preview", json={**GOOD, **unset})).json()
    assert (answer["model"], answer["validation"]["problems"]) == (GOOD, [])


@pytest.mark.parametrize(
    ("more", "installed", "expected"),
    [
        ({}, None, {"storage": "fail"}),
        ({}, 5, {"storage": "pass", "local-cache": "pass"}),
        ({"hfModelId": "a/b", "storageUri": "pvc://claim/a"}, None, {"storage": "pass"}),
        ({"hfModelId": "a/b", "storageUri": "pvc://other/a"}, None, {"storage": "warn"}),
        ({"source": {"uri": "https://example.com/a"}}, None, {"storage": "fail"}),
        ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}, 1, {"secrets": "warn"}),
        ({"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "s", "key": "k"}}}]}, 1,
         {"configmaps": "warn"}),
        ({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]}, 1, {"secrets": "warn"}),
        ({"resources": {"limits": {"amd.com/gpu": "1"}}}, 1, {"gpu-capacity": "warn"}),
        ({"resources": {"requests": {"cpu": "1"}}}, 1, {}),
    ],
)  # fmt: skip
def test_checks(more: dict[str, Any], installed: int | None, expected: dict[str, str]) -> None:
    entry = DECODER.decode(json.dumps({"id": "a", **more}))
    found = {one.name: one.status for one in checks(entry, Found(None, installed, "claim"))}
    assert {**found, **expected} == found
    assert ("gpu-capacity" in found) == ("gpu-capacity" in expected)


def test_a_refusal_to_render_is_a_failed_check() -> None:
    found = Found(None, 1, "claim", Unprocessable("It holds a template.", "Remove it."))
    manifest = next(one for one in checks(DECODER.decode(b'{"id":"a"}'), found) if one.name == "manifest")
    assert (manifest.status, manifest.message) == ("fail", "It holds a template. Remove it.")


GPU: dict[str, Any] = {"resources": {"limits": {"nvidia.com/gpu": "1"}}}
SECRET: dict[str, Any] = {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}


@pytest.mark.parametrize(
    ("more", "finding", "expected"),
    [
        (SECRET, Finding("secret:s", "ok", "It is there."), {"secret:s": "pass"}),
        (SECRET, Finding("secret:s", "fail", "It is not there."), {"secret:s": "fail"}),
        (SECRET, Finding("secret:s", "unknown", "It may not be read."), {"secret:s": "warn"}),
        (SECRET, Finding("runtime", "ok", "It is there."), {"runtime": "pass", "secrets": "warn"}),
        (GPU, Finding("gpu-capacity", "fail", "Nothing fits."), {"gpu-capacity": "fail"}),
        ({}, Finding("storage", "fail", "There is no claim."), {"storage": "fail"}),
        ({}, Finding("storage", "ok", "It is bound."), {"storage": "pass"}),
        ({}, Finding("local-cache", "fail", "They are not there."), {"local-cache": "pass"}),
    ],
)
def test_what_the_platform_found_is_told_in_the_originals_words(
    more: dict[str, Any], finding: Finding, expected: dict[str, str]
) -> None:
    entry = DECODER.decode(json.dumps({"id": "a", "storageUri": "pvc://claim/a", "hfModelId": "a/b", **more}))
    found = [(one.name, one.status) for one in checks(entry, Found(None, 1, "claim", None, (finding,)))]
    wanted = {"catalog": "pass", "manifest": "pass", "storage": "pass", "local-cache": "pass", **expected}
    assert sorted(found) == sorted(wanted.items())


async def test_a_model_is_tried_without_being_activated(client: Client, house: House) -> None:
    answer = (await client.post("/models/test", json={"id": "demo", "slot": "second"})).json()
    assert (answer["status"], answer["dryRun"]["action"], answer["readiness"]) == ("success", "create", None)
    assert answer["dryRun"]["manifest"]["metadata"]["name"] == "second"
    assert {one["name"]: one["status"] for one in answer["checks"]} == {
        "manifest": "pass", "storage": "pass", "local-cache": "warn", "runtime": "pass"
    }  # fmt: skip
    await house.active("demo")
    answer = (await client.post("/models/test", json={"id": "pirate"})).json()
    assert answer["dryRun"]["action"] == "update"
    assert (await client.get("/active")).json()["modelId"] == "demo"


async def test_a_model_whose_program_is_not_here_is_a_warning(client: Client, house: House) -> None:
    house.parts.platform.dry_run = _lacks_a_program  # type: ignore[method-assign]
    answer = (await client.post("/models/test", json={"id": "demo"})).json()
    assert answer["status"] == "warning"
    assert answer["checks"][-1] == {
        "name": "runtime", "status": "fail", "message": "It needs vllm. Install it.", "metadata": {}
    }  # fmt: skip


async def _lacks_a_program(manifest: dict[str, Any]) -> list[Finding]:
    return [Finding("runtime", "fail", "It needs vllm.", "Install it.")]


async def test_no_url_is_fetched_for_a_test(client: Client, house: House) -> None:
    old = {"id": "demo", "readinessUrl": f"{house.service.url}/healthz", "timeoutSeconds": 10}
    answer = (await client.post("/models/test", json=old)).json()
    assert answer["readiness"]["status"] == "error"
    problem(await client.post("/models/test", json={"id": "none"}), 404)
    problem(await client.post("/models/test", json={"id": "demo", "slot": "third"}), 404)
