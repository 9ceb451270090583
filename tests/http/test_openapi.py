"""The description of the API is valid, complete and made of nothing but the handlers."""

from typing import Any

import httpx2
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

Client = httpx2.AsyncClient


@pytest.fixture
async def document(client: Client) -> Any:
    return (await client.get("/openapi.json")).json()


async def test_it_is_valid(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()
    assert (document["openapi"], document["info"]["version"]) == ("3.1.0", "1.2.3")


async def test_it_names_every_route(document: Any) -> None:
    assert set(document["paths"]) == {
        "/healthz", "/things", "/things/{name}/info", "/notes", "/conflict", "/broken", "/encoded", "/v1/ask",
        "/stream", "/openapi.json", "/docs",
    }  # fmt: skip
    assert set(document["paths"]["/things"]) == {"get", "post"}


async def test_query_parameters_carry_bounds_and_defaults(document: Any) -> None:
    operation = document["paths"]["/things"]["get"]
    limit = {parameter["name"]: parameter for parameter in operation["parameters"]}["limit"]
    assert (limit["in"], limit["required"]) == ("query", False)
    assert limit["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}
    assert (operation["summary"], operation["description"]) == (
        "Some things.",
        "The second paragraph describes.",
    )


async def test_bodies_answers_problems_and_security(document: Any) -> None:
    order, note = document["paths"]["/things"]["post"], document["paths"]["/notes"]["post"]
    schema = order["requestBody"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": "#/components/schemas/Order"}
    assert (order["requestBody"]["required"], note["requestBody"]["required"]) == (True, False)
    assert set(order["responses"]) == {"202", "default"}
    assert "maxLen" in document["components"]["schemas"]["Order"]["properties"]
    security = [
        operation["security"]
        for operation in (order, document["paths"]["/things"]["get"], document["paths"]["/healthz"]["get"])
    ]
    assert security == [[{"token": ["admin"]}], [{"token": ["read"]}, {"token": ["admin"]}], []]
    problem = document["components"]["responses"]["Problem"]["content"]["application/problem+json"]
    assert problem["schema"] == {"$ref": "#/components/schemas/ProblemDetails"}


async def test_streams_are_named(document: Any) -> None:
    answer = document["paths"]["/stream"]["get"]["responses"]["200"]["content"]
    assert set(answer) == {"application/json", "text/event-stream"}
