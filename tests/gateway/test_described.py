"""The gateway's part of the API's description says what the gateway does."""

import json
from typing import Any

import jsonschema
import pytest
from starlette.routing import Route

from model_manager.gateway import described, routes
from model_manager.relay import Relay
from tests.gateway.serving import Slots, behind, serving
from tests.relay.upstream import ever


def test_every_path_is_described() -> None:
    paths = {
        route.path.replace(":path}", "}")
        for route in routes(Slots("http://127.0.0.1:1"), Relay())
        if isinstance(route, Route)
    }
    assert set(described()) == paths


def test_every_operation_leads_to_its_reference_and_names_who_may() -> None:
    for path, item in described().items():
        for method, operation in item.items():
            assert {"token": ["chat"]} in operation["security"]
            if method == "post":
                assert operation["externalDocs"]["url"].startswith("https://")
                assert path.replace("/v1/", "").replace("/", "_") == operation["operationId"]


def schema(path: str, method: str, status: str) -> Any:
    return described()[path][method]["responses"][status]["content"]["application/json"]["schema"]


async def test_the_lists_are_as_described() -> None:
    async with serving(Slots("http://127.0.0.1:1")) as gateway:
        for path, wanted in (("/v1/models", "/v1/models"), ("/v1/models/demo", "/v1/models/{model}")):
            answer = await gateway.ask(method="GET", path=path)
            jsonschema.validate(json.loads(answer.body), schema(wanted, "get", "200"))
        absent = await gateway.ask(method="GET", path="/v1/models/x")
        jsonschema.validate(json.loads(absent.body), schema("/v1/models/{model}", "get", "default"))


@pytest.mark.parametrize("path", [path for path, item in described().items() if "post" in item])
async def test_errors_are_as_described_and_requests_pass(path: str) -> None:
    async with behind(ever) as (upstream, gateway):
        assert (await gateway.ask({"model": "demo"}, path)).body == b"ok"
        assert upstream.requests[0].line == f"POST {path} HTTP/1.1".encode()
        for body in ({"model": "x"}, b"{", {"model": "late"}):
            refused = await gateway.ask(body, path)
            assert refused.status in (400, 404, 503)
            jsonschema.validate(json.loads(refused.body), schema(path, "post", "default"))
        other = await gateway.ask({}, path, method="PUT")
        assert (other.status, other.header("allow")) == (405, "POST")
        jsonschema.validate(json.loads(other.body), schema(path, "post", "default"))
