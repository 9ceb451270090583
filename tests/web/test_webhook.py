"""Webhooks of Git hosts: who may, what counts, and that the catalog is looked at."""

import hmac
import json
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx2
import pytest

from model_manager.commands import Webhook
from model_manager.errors import SettingsError
from model_manager.web.webhook import Push, Repository, concerns
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes
from tests.waiting import until
from tests.web.asking import problem

SECRET = "the webhook's secret ✓"
PUSH = {"ref": "refs/heads/main", "repository": {"default_branch": "main"}}
Headers = dict[str, str]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """One that does not look at its catalog by itself, so that every look is a webhook's."""
    write_catalog(tmp_path / "catalog", {"demo": "well", "pirate": "well"})
    write_runtimes(tmp_path / "runtimes", [runtime("well")])
    async with open_house(house_settings(tmp_path, catalog_refresh_interval=3600.0)) as house:
        yield house


@pytest.fixture
async def stranger(house: House) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without a token, as Git hosts are."""
    house.parts.webhook = Webhook(lambda: SECRET, "main")
    async with httpx2.AsyncClient(base_url=house.service.url, trust_env=False, timeout=60) as client:
        yield client


def digest(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, sha256).hexdigest()


def github(body: bytes, event: str = "push") -> Headers:
    return {"x-github-event": event, "x-hub-signature-256": f"sha256={digest(body)}"}


def gitea(body: bytes) -> Headers:
    """Gitea and Forgejo send GitHub's headers too."""
    return github(body) | {"x-gitea-event": "push", "x-gitea-signature": digest(body)}


def gitlab(_: bytes, token: str = SECRET) -> Headers:
    return {"x-gitlab-event": "Push Hook", "x-gitlab-token": token.encode().decode("latin-1")}


async def send(client: httpx2.AsyncClient, headers: Headers, body: bytes) -> httpx2.Response:
    told = {"content-type": "application/json"} | headers
    raw = [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
    return await client.post("/catalog/webhook", content=body, headers=raw)


BODY = json.dumps(PUSH).encode()


@pytest.mark.parametrize(
    ("headers", "host"),
    [(github, "github"), (gitea, "gitea"), (gitlab, "gitlab")],
    ids=["github", "gitea", "gitlab"],
)
async def test_a_push_has_the_catalog_looked_at(
    stranger: httpx2.AsyncClient, house: House, headers: Callable[[bytes], Headers], host: str
) -> None:
    (house.settings.catalog_root / "models" / "pirate.json").unlink()
    response = await send(stranger, headers(BODY), BODY)
    assert (response.status_code, response.json()["status"]) == (202, "accepted")

    await until(lambda: "pirate" not in house.parts.catalog.snapshot.items)
    event, *_ = await house.parts.events.page(kind="catalog_refreshed", newest_first=True)
    assert (event.data["removed"], event.actor) == (["pirate"], f"webhook:{host}")


UNSIGNED: tuple[tuple[str, Headers], ...] = (
    ("nothing", {"x-github-event": "push"}),
    ("wrong", github(b"another body")),
    ("not hex", {"x-github-event": "push", "x-hub-signature-256": "sha256=ü"}),
    ("SHA-1 alone", {"x-github-event": "push", "x-hub-signature": "sha1=" + "0" * 40}),
    ("without its scheme", {"x-github-event": "push", "x-hub-signature-256": digest(BODY)}),
    ("GitLab's, wrong", gitlab(BODY, "another")),
    ("GitLab's, empty", gitlab(BODY, "")),
    ("right, and a wrong one beside it", github(BODY) | gitlab(BODY, "another")),
    (
        "of another secret",
        {"x-github-event": "push", "x-hub-signature-256": f"sha256={digest(BODY, 'other')}"},
    ),
)


async def test_what_is_not_signed_rightly_is_refused(stranger: httpx2.AsyncClient, house: House) -> None:
    (house.settings.catalog_root / "models" / "pirate.json").unlink()
    for name, headers in UNSIGNED:
        body = problem(await send(stranger, headers, BODY), 401, "unauthorized")
        assert SECRET not in str(body), name
    await send(stranger, gitlab(BODY), BODY)
    await until(lambda: "pirate" not in house.parts.catalog.snapshot.items)
    event, *_ = await house.parts.events.page(kind="catalog_refreshed", newest_first=True)
    assert event.actor == "webhook:gitlab", "one of the others was believed"


async def test_u9_who_guesses_is_stopped(stranger: httpx2.AsyncClient, house: House) -> None:
    for _ in range(house.parts.tokens.failures.limit):
        problem(await send(stranger, gitlab(BODY, "a guess"), BODY), 401)
    body = problem(await send(stranger, gitlab(BODY), BODY), 429, "too_many_requests")
    assert "Wait" in body["hint"]


async def test_without_a_secret_it_is_not_offered(stranger: httpx2.AsyncClient, house: House) -> None:
    house.parts.webhook = Webhook(lambda: None, None)
    body = problem(await send(stranger, github(BODY), BODY), 501, "not_offered")
    assert body["data"]["setting"] == "webhook_secret"
    assert "MODEL_MANAGER_WEBHOOK_SECRET" in body["hint"]


async def test_a_secret_that_cannot_be_read_does_not_tell_strangers_where_it_lies(
    stranger: httpx2.AsyncClient, house: House
) -> None:
    def fails() -> str:
        raise SettingsError("The webhook secret file /run/secrets/hook cannot be read: Permission denied.")

    house.parts.webhook = Webhook(fails, None)
    body = problem(await send(stranger, github(BODY), BODY), 503, "unavailable")
    assert "/run" not in str(body)


async def test_the_secret_is_a_setting_whose_file_may_change(tmp_path: Path) -> None:
    from model_manager.app.assembly import webhook
    from model_manager.settings import load

    file = tmp_path / "secret"
    file.write_text("one")
    environ = {"HOME": str(tmp_path), "MODEL_MANAGER_WEBHOOK_SECRET_FILE": str(file)}
    made = webhook(load({}, environ))
    assert (made.secret(), made.ref) == ("one", None)
    file.write_text("two")
    assert made.secret() == "two"
    followed = load({"catalog_url": "https://git.example/c.git", "catalog_ref": "main"}, environ)
    assert webhook(followed).ref == "main"


OTHERS: tuple[tuple[dict[str, Any], str, int, str, str], ...] = (
    ({"zen": "Keep it logically awesome."}, "ping", 200, "pong", "set up"),
    ({"action": "opened"}, "pull_request", 202, "ignored", "'pull_request'"),
    (
        {"ref": "refs/heads/topic"},
        "push",
        202,
        "ignored",
        "'refs/heads/topic' is not what the catalog follows (main)",
    ),
    ({}, "push", 202, "accepted", "looked at"),
)


async def test_what_else_comes(stranger: httpx2.AsyncClient) -> None:
    for body, event, status, word, said in OTHERS:
        data = json.dumps(body).encode()
        response = await send(stranger, github(data, event), data)
        assert (response.status_code, response.json()["status"]) == (status, word)
        assert said in response.json()["message"]


async def test_githubs_other_content_type(stranger: httpx2.AsyncClient) -> None:
    body = b"payload=%7B%22ref%22%3A%22refs%2Fheads%2Ftopic%22%7D"
    form = {"content-type": "application/x-www-form-urlencoded"}
    response = await send(stranger, github(body) | form, body)
    assert response.json()["status"] == "ignored"


async def test_a_signed_body_that_is_no_push(stranger: httpx2.AsyncClient) -> None:
    for body in (b"", b"{", b"[]", b'{"ref": 3}', b"\xff", b"[" * 5000):
        problem(await send(stranger, github(body), body), 400, "invalid_request")


async def test_a_signed_request_without_an_event_and_a_body_over_the_limit(
    stranger: httpx2.AsyncClient,
) -> None:
    signature = {"x-hub-signature-256": f"sha256={digest(BODY)}"}
    problem(await send(stranger, signature, BODY), 400, "invalid_request")
    large = b"[" + b" " * (1 << 20) + b"]"
    problem(await send(stranger, github(large), large), 413, "too_large")


@pytest.mark.parametrize(
    ("followed", "ref", "default", "does"),
    [
        ("main", "refs/heads/main", "main", True),
        ("main", "refs/heads/topic", "main", False),
        ("main", "refs/tags/main", None, True),
        ("v1", "refs/tags/v1", "main", True),
        ("refs/heads/main", "refs/heads/main", None, True),
        ("HEAD", "refs/heads/trunk", "trunk", True),
        ("HEAD", "refs/heads/topic", "trunk", False),
        ("HEAD", "refs/tags/v1", "trunk", False),
        ("HEAD", "refs/heads/whatever", None, True),
        ("0" * 40, "refs/heads/main", "main", False),
        (None, "refs/heads/topic", "main", True),
    ],
)
def test_which_pushes_concern_the_catalog(
    followed: str | None, ref: str, default: str | None, does: bool
) -> None:
    assert concerns(Push(ref, repository=Repository(default)), followed) is does
    assert concerns(Push(ref, project=Repository(default)), followed) is does
