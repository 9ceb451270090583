"""Cross-origin requests, as a browser makes them."""

import asyncio
from collections.abc import AsyncIterator

import httpx2
import pytest

from model_manager.http.application import application
from model_manager.http.auth import Auth
from model_manager.tokens import Keyring
from tests.http.conftest import ROUTES
from tests.http.live import TOKEN, serving

UI = "https://ui.example.com"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-lang",
}


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    auth = Auth(Keyring(TOKEN), loopback=False, cors_origins=[UI])
    app = application([route.bound("") for route in ROUTES], version="1", auth=auth, closing=asyncio.Event())
    async with serving(app) as client:
        yield client


def cors(response: httpx2.Response) -> dict[str, str]:
    return {name: value for name, value in response.headers.items() if name.startswith("access-control-")}


async def test_a_preflight_of_a_listed_origin_is_answered_without_a_token(client: httpx2.AsyncClient) -> None:
    response = await client.options("/v1/ask", headers={"origin": UI, **PREFLIGHT})
    assert response.status_code == 204
    assert cors(response) == {
        "access-control-allow-origin": UI,
        "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
        "access-control-allow-headers": "authorization,content-type,x-stainless-lang",
        "access-control-max-age": "600",
    }
    assert response.headers["vary"] == "Origin"


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://ui.example.com.evil.example"])
async def test_a_preflight_of_another_is_refused_with_a_sentence(
    client: httpx2.AsyncClient, origin: str
) -> None:
    response = await client.options("/v1/ask", headers={"origin": origin, **PREFLIGHT})
    assert response.status_code == 403
    assert cors(response) == {}
    assert "MODEL_MANAGER_CORS_ORIGINS" in response.json()["hint"]


async def test_a_page_of_a_listed_origin_can_read_answers_and_refusals(client: httpx2.AsyncClient) -> None:
    good = await client.post("/v1/ask", headers={"origin": UI, "authorization": f"Bearer {TOKEN}"})
    refused = await client.post("/v1/ask", headers={"origin": UI})
    assert (good.status_code, refused.status_code) == (200, 401)
    for response in (good, refused):
        assert response.headers["access-control-allow-origin"] == UI
        assert "Retry-After" in response.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in response.headers
        assert response.headers["vary"] == "Origin"


async def test_answers_to_others_say_that_they_depend_on_the_origin(client: httpx2.AsyncClient) -> None:
    response = await client.get("/healthz")
    assert cors(response) == {}
    assert response.headers["vary"] == "Origin"


async def test_by_default_there_is_no_cors_at_all() -> None:
    auth = Auth(Keyring(TOKEN), loopback=True)
    app = application([route.bound("") for route in ROUTES], version="1", auth=auth, closing=asyncio.Event())
    async with serving(app) as client:
        preflight = await client.options("/v1/ask", headers={"origin": UI, **PREFLIGHT})
        own = await client.get("/things", headers={"origin": str(client.base_url).rstrip("/")})
    assert (preflight.status_code, own.status_code) == (403, 200)
    assert cors(preflight) == cors(own) == {}
    assert "vary" not in own.headers
