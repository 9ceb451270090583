"""Health, readiness, information, metrics and the description of the whole API."""

import sqlite3

import httpx2
import msgspec
from openapi_spec_validator import OpenAPIV31SpecValidator

from model_manager import gateway
from model_manager.http.access import access
from model_manager.web.routes import NOUNS
from tests.house import House
from tests.web.asking import install

Client = httpx2.AsyncClient
ROUTES = [route for noun in NOUNS for route in noun.ROUTES]


async def test_health_and_readiness(client: Client, house: House) -> None:
    assert (await client.get("/healthz")).json() == {"status": "ok"}
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "reasons": []})


async def test_not_ready_says_why(client: Client, house: House) -> None:
    house.parts.problems = lambda: ["The loop of slot x hangs."]
    response = await client.get("/readyz")
    assert response.status_code == 503
    assert response.json() == {"status": "not_ready", "reasons": ["The loop of slot x hangs."]}
    assert (await client.get("/healthz")).status_code == 200


async def test_what_the_platform_cannot_do_now_is_said_and_does_not_count(
    client: Client, house: House
) -> None:
    house.parts.platform.problems = lambda: ["The cluster is away."]  # type: ignore[method-assign]
    ready = await client.get("/readyz")
    assert (ready.status_code, ready.json()) == (
        200,
        {"status": "ready", "reasons": ["The cluster is away."]},
    )
    assert (await client.get("/system/info")).json()["problems"] == ["The cluster is away."]


async def test_information(client: Client, house: House) -> None:
    job = await install(client, "demo")
    info = (await client.get("/system/info")).json()
    catalog = info["catalog"]
    assert (catalog["count"], catalog["problems"], catalog["error"]) == (4, 1, None)
    assert catalog["root"] == str(house.settings.catalog_root)
    assert catalog["modelsDir"] == "models"
    assert catalog["revision"]
    assert catalog["lastRefresh"]
    assert info["state"] == {
        "path": str(house.settings.state_path), "enabled": True, "sqlite": sqlite3.sqlite_version
    }  # fmt: skip
    assert info["auth"] == {"enabled": True}
    assert (info["platform"], info["slots"]) == ("local", ["active-llm", "second"])
    assert info["weights"]["path"] == str(house.settings.weights_path)
    assert info["recentJobs"] == [job]
    assert info["recentHistory"][0]["event"] == "weight_install_completed"
    assert info["storage"]["modelCount"] == 1


async def test_metrics_count_by_route(client: Client) -> None:
    for _ in range(2):
        await client.get("/models/none")
    await client.get("/nowhere/1")
    text = (await client.get("/metrics")).text
    assert (
        'model_manager_http_requests_total{method="GET",path="/models/{model_id}",status="404"} 2.0' in text
    )
    assert "nowhere" not in text
    assert "model_manager_weights_used_bytes 0.0" in text


async def test_the_description_of_the_api_is_valid_and_complete(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    described = {
        (method.upper(), path) for path, operations in document["paths"].items() for method in operations
    }
    of_the_gateway = {(method.upper(), path) for path, item in gateway.described().items() for method in item}
    assert described - of_the_gateway == {
        (route.method, route.path.replace(":path}", "}")) for route in ROUTES
    } | {("GET", "/openapi.json"), ("GET", "/docs")}
    names = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(names) == len(set(names))
    for path in document["paths"].values():
        for operation in path.values():
            assert operation["summary"].endswith(".")
    activate = document["paths"]["/models/activate"]["post"]["responses"]
    assert activate["202"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Accepted"
    }
    assert activate["200"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/Activated"
    }


def test_what_changes_something_is_not_a_get_and_is_an_administrators() -> None:
    signed = ("POST", "/catalog/webhook")
    for route in ROUTES:
        if route.method != "GET" and (route.method, route.path) != signed:
            assert access(route.method, route.path) == "admin"


async def test_lists_in_answers_are_never_null(client: Client) -> None:
    for path in ("/weights", "/weights/usage", "/jobs", "/history", "/slots", "/activations", "/system/info"):
        body = (await client.get(path)).json()
        nulls = {name for name, value in walk(body) if value is None}
        assert not nulls & {
            "weights",
            "jobs",
            "events",
            "models",
            "slots",
            "activations",
            "usedBy",
            "logTail",
        }
    assert msgspec.json.decode((await client.get("/models")).content, type=list)


def walk(value: object, name: str = ""):  # type: ignore[no-untyped-def]
    yield name, value
    if isinstance(value, dict):
        for key, one in value.items():
            yield from walk(one, key)
    elif isinstance(value, list):
        for one in value:
            yield from walk(one)
