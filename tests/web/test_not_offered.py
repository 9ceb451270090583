"""What the original answered and this version does not: said in words, with what to do instead."""

import httpx2
import pytest

from model_manager.web.not_offered import ROUTES
from tests.web.asking import problem

Client = httpx2.AsyncClient
QUERIES = {
    "/huggingface/search": "?q=llama&limit=25",
    "/huggingface/models/{hub_id:path}": "?autoDetect=true",
}


async def test_each_says_what_to_do_instead(client: Client) -> None:
    for route in ROUTES:
        path = route.path.replace("{hub_id:path}", "owner/name")
        for name in ("model_id", "gpu_type", "architecture"):
            path = path.replace(f"{{{name}}}", "x")
        for body in (b"", b'{"hfModelId":"a/b","displayName":""}', b"\xff"):
            response = await client.request(
                route.method,
                path + QUERIES.get(route.path, ""),
                content=body if route.method == "POST" else None,
            )
            told = problem(response, 501, "not_offered")
            assert told["hint"]


@pytest.mark.parametrize("path", ["/models/test", "/vllm/discover", "/catalog/pr"])
async def test_it_says_nothing_to_those_without_a_token(client: Client, path: str) -> None:
    problem(await client.post(path, headers={"authorization": "Bearer wrong"}), 401)


async def test_they_are_described_as_what_they_are(client: Client) -> None:
    paths = (await client.get("/openapi.json")).json()["paths"]
    for route in ROUTES:
        operation = paths[route.path.replace(":path}", "}")][route.method.lower()]
        assert operation["deprecated"] is True
        assert operation["responses"]["501"] == {"$ref": "#/components/responses/Problem"}
        assert not [status for status in operation["responses"] if status.startswith("2")]
