"""Every route of the running service against every kind of token. A route that is not in the table fails the test."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.routing import Route, Router

from model_manager.http.routing import Path as ApiPath
from tests.house import House, house_settings, open_house, write_catalog
from tests.waiting import until

TABLE = """
open   GET    /healthz
open   GET    /readyz
open   GET    /metrics
open   POST   /catalog/webhook
read   GET    /metrics/history
read   GET    /system/info
read   GET    /system/doctor
read   GET    /settings
read   GET    /openapi.json
read   GET    /docs
read   GET    /models
read   GET    /models/{model_id}
read   GET    /models/{model_id}/manifest
read   GET    /models/{model_id}/compatibility
admin  POST   /models/activate
admin  POST   /models/deactivate
admin  POST   /models/test
read   GET    /active
read   GET    /catalog
read   GET    /catalog/problems
admin  POST   /catalog/preview
admin  POST   /catalog/validate
admin  POST   /catalog/generate
admin  POST   /catalog/pr
admin  POST   /refresh
read   GET    /weights
read   GET    /weights/usage
read   GET    /weights/{name:path}/info
admin  POST   /weights/install
admin  DELETE /weights/{name:path}
read   GET    /jobs
read   GET    /jobs/{job_id}
read   GET    /jobs/{job_id}/logs
admin  POST   /jobs/{job_id}/cancel
admin  POST   /jobs/{job_id}/retry
read   GET    /history
read   GET    /events
read   GET    /slots
read   GET    /slots/{slot}
read   GET    /slots/{slot}/activations
read   GET    /slots/{slot}/logs
read   GET    /slots/{slot}/why
admin  PUT    /slots/{slot}
admin  DELETE /slots/{slot}
admin  POST   /slots/{slot}/adopt
read   GET    /activations
read   GET    /activations/forecast
read   GET    /activations/{activation_id}
admin  POST   /activations/{activation_id}/cancel
admin  POST   /state/import
admin  GET    /tokens
admin  POST   /tokens
admin  DELETE /tokens/{token}
token  GET    /tokens/current
admin  GET    /support-bundle
read   GET    /huggingface/search
read   GET    /huggingface/models/{hub_id:path}
read   GET    /recommendations/profiles
read   GET    /recommendations/{gpu_type}
read   GET    /vllm/supported-models
read   GET    /vllm/model/{architecture}
admin  POST   /vllm/discover
admin  POST   /vllm/model-info
any    GET    /v1/models
any    GET    /v1/models/{model:path}
chat   POST   /v1/chat/completions
chat   POST   /v1/completions
chat   POST   /v1/embeddings
chat   POST   /v1/responses
chat   POST   /v1/responses/input_tokens
chat   POST   /v1/messages
chat   POST   /v1/messages/count_tokens
chat   POST   /v1/rerank
chat   POST   /v1/score
"""

NEEDS = {(method, path): need for need, method, path in map(str.split, TABLE.strip().splitlines())}

USELESS = ("none", "wrong", "expired", "revoked")
SCOPES = {
    "open": (*USELESS, "read", "chat", "admin", "static"),
    "any": ("read", "chat", "admin", "static"),
    "token": ("read", "chat", "admin", "static"),
    "read": ("read", "admin", "static"),
    "chat": ("chat", "admin", "static"),
    "admin": ("admin", "static"),
}
"""Which tokens get through to what needs what, where nothing is open to this machine."""


def expected(need: str, token: str) -> int | str:
    return "in" if token in SCOPES[need] else 401 if token in USELESS else 403


def expected_on_loopback(need: str, token: str) -> int | str:
    """Programs of this machine read and chat without a token, so with any."""
    return "in" if need in ("read", "any", "chat") else expected(need, token)


def routes_of(asgi: Any) -> Iterator[tuple[str, str]]:
    """Method and path of everything that the router inside an application answers."""
    while not isinstance(asgi, Router):
        asgi = next(value for name, value in vars(asgi).items() if name in ("_app", "app", "_otherwise"))
    for route in asgi.routes:
        assert isinstance(route, Route | ApiPath)
        endpoint: Any = route.app
        methods = endpoint._routes if hasattr(endpoint, "_routes") else endpoint._allowed[:1]
        yield from ((method, route.path) for method in methods)


async def tokens_of(house: House) -> dict[str, str | None]:
    """A token of each kind."""
    tokens = house.parts.tokens
    made = {
        "read": await tokens.create("read", "read", actor="test"),
        "chat": await tokens.create("chat", "chat", actor="test"),
        "admin": await tokens.create("admin", "admin", expires_in=3600, actor="test"),
        "expired": await tokens.create("expired", "admin", expires_in=0.01, actor="test"),
        "revoked": await tokens.create("revoked", "admin", actor="test"),
    }
    secrets = {kind: created.secret for kind, created in made.items()}
    await tokens.revoke("revoked", "test")
    await until(lambda: tokens.keyring.identify(secrets["expired"].encode()) is None)
    return {"none": None, "wrong": "mm_" + "x" * 43, "static": house.service.token, **secrets}


async def outcome(client: httpx2.AsyncClient, method: str, path: str, token: str | None) -> int | str:
    """`in`, or the status of the refusal."""
    url = re.sub(r"{[^}]*}", "none-such", path)
    headers = {"authorization": f"Bearer {token}"} if token else {}
    status = (await client.request(method, url, headers=headers)).status_code
    assert status not in (400, 421, 429) or method != "GET", f"{method} {url}: {status}"
    return status if status in (401, 403) else "in"


@pytest.fixture
async def house(tmp_path: Path, reads: str) -> AsyncIterator[House]:
    write_catalog(tmp_path / "catalog", {"demo": "none"})
    async with open_house(house_settings(tmp_path, reads=reads)) as house:
        house.parts.tokens.failures.limit = (
            10_000  # else most requests of the table are refused for the earlier ones
        )
        yield house


@pytest.mark.parametrize("reads", ["token"])
async def test_every_route_is_in_the_table(house: House) -> None:
    assert set(routes_of(house.service.asgi)) == set(NEEDS)


@pytest.mark.parametrize(("reads", "rule"), [("token", expected), ("auto", expected_on_loopback)])
async def test_u1_u4_u11_every_route_with_every_token(house: House, rule: Any) -> None:
    tokens = await tokens_of(house)
    assert set(tokens) == set(SCOPES["open"])
    wrong = []
    async with httpx2.AsyncClient(
        base_url=house.service.url, trust_env=False, verify=False, timeout=60
    ) as client:
        for (method, path), need in NEEDS.items():
            for kind, token in tokens.items():
                for verb in ("GET", "HEAD") if method == "GET" else (method,):
                    found = await outcome(client, verb, path, token)
                    if found != rule(need, kind):
                        wrong.append(f"{verb} {path} with {kind}: {found}, not {rule(need, kind)}")
    assert wrong == []


SPELLINGS = (
    "//tokens", "/tokens/", "/./tokens", "/x/../tokens", "/%2ftokens", "/tokens;x", "/tokens.", "/%74okens", "/TOKENS",
    "/tokens%2f", "/models/..%2ftokens", "/tokens%00", "/tokens%0a", "/tokens?_method=DELETE",
)  # fmt: skip


@pytest.mark.parametrize("reads", ["token"])
async def test_h7a_no_other_spelling_of_a_path_opens_it(house: House) -> None:
    token = (await house.parts.tokens.create("reader", "read", actor="test")).secret
    overrides = {
        "x-http-method-override": "DELETE",
        "x-original-url": "/healthz",
        "x-rewrite-url": "/healthz",
    }
    async with httpx2.AsyncClient(base_url=house.service.url, trust_env=False, verify=False) as client:
        for path in SPELLINGS:
            without = await client.get(path, headers=overrides)
            reader = await client.get(path, headers={**overrides, "authorization": f"Bearer {token}"})
            assert without.status_code in (401, 404), path
            assert reader.status_code in (403, 404), path
