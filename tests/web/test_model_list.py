"""`GET /models`, whole and in parts; and what is not sent again to those who have it."""

import httpx2
import pytest

from model_manager.http.etags import etag_of, has_it
from tests.house import House
from tests.web.asking import install, problem

Client = httpx2.AsyncClient

TAG = etag_of(b"x")


async def ids(client: Client, query: str) -> list[str]:
    response = await client.get(f"/models?{query}")
    assert response.status_code == 200, response.text
    return [model["id"] for model in response.json()]


async def test_the_models_that_are_asked_for(client: Client, house: House) -> None:
    await house.active("pirate", "second")
    await install(client, "demo")
    everything = ["broken", "demo", "pirate", "slow"]
    for query, expected in {
        "task=chat": everything,
        "task=embed": [],
        "tag=a": ["demo"],
        "tag=A": [],
        "q=O": ["broken", "demo", "slow"],
        "q=THE+d": ["demo"],
        "q=": everything,
        "active=true": ["pirate"],
        "active=0": ["broken", "demo", "slow"],
        "installed=true": ["demo", "pirate"],
        "installed=true&active=false": ["demo"],
        "tag=a&active=true": [],
        "limit=1000": everything,
    }.items():
        assert await ids(client, query) == expected, query


async def test_models_page_by_page_along_the_link(client: Client) -> None:
    url, seen, parts = httpx2.URL("/models?q=o&limit=2"), [], 0
    while True:
        response = await client.get(url)
        seen += [model["id"] for model in response.json()]
        parts += 1
        if "next" not in response.links:
            break
        url = response.url.join(response.links["next"]["url"])
    assert (seen, parts) == (["broken", "demo", "slow"], 2)
    assert (await client.get("/models")).json()[:2] == (await client.get("/models?limit=2")).json()


async def test_h10a_models_out_of_bounds(client: Client) -> None:
    for query in ("limit=0", "limit=-1", "limit=1000000000000000000", "limit=NaN", "cursor=x", "cursor=",
                  "active=perhaps", "task=sing", "offset=1"):  # fmt: skip
        problem(await client.get(f"/models?{query}"), 422, "unprocessable")


@pytest.mark.parametrize("path", ["/models", "/models/demo", "/openapi.json", "/catalog/problems"])
async def test_what_one_has_already_is_not_sent_again(client: Client, path: str) -> None:
    whole = await client.get(path)
    tag = whole.headers["etag"]
    assert whole.headers["cache-control"] == "no-cache"
    assert tag[0] == tag[-1] == '"'
    for known in (tag, f'"other", {tag}', f"W/{tag}", "*"):
        for method in ("GET", "HEAD"):
            response = await client.request(method, path, headers={"if-none-match": known})
            assert (response.status_code, response.content) == (304, b""), known
            assert response.headers["etag"] == tag
            assert "content-type" not in response.headers
    for unknown in ('"other"', tag.strip('"'), "", "W/*", f'"{tag}"x'):
        assert (await client.get(path, headers={"if-none-match": unknown})).content == whole.content, unknown
    head = await client.head(path)
    assert (head.headers["etag"], head.headers["content-length"]) == (tag, str(len(whole.content)))


async def test_a_changed_catalog_has_another_tag(client: Client, house: House) -> None:
    tags = {
        path: (await client.get(path)).headers["etag"] for path in ("/models", "/models/demo", "/models/slow")
    }
    file = house.settings.catalog_root / "models" / "demo.json"
    file.write_text(file.read_text().replace("The demo", "Another name"))
    await client.post("/refresh")
    again = {
        path: (await client.get(path, headers={"if-none-match": tag})).status_code
        for path, tag in tags.items()
    }
    assert again == {"/models": 200, "/models/demo": 200, "/models/slow": 304}


@pytest.mark.parametrize(
    ("header", "known"),
    [(None, False), ("", False), ("*", True), (" * ", True), (TAG, True), (f"W/{TAG}", True), (f'"a",{TAG}', True),
     (f'"a" , W/"b",{TAG}', True), (TAG[:-1], False), (TAG.strip('"'), False), ('"a, b"', False), (",,", False)],
)  # fmt: skip
def test_if_none_match(header: str | None, known: bool) -> None:
    assert has_it(header, TAG) is known
