"""Answers that are none, credentials that cannot be sent, and names that would be another object's path."""

from collections.abc import Generator

import httpx2
import pytest
from lightkube.core.exceptions import ConfigError

from model_manager.errors import NotFound, Unavailable
from model_manager.serving.kserve.api import LONGEST_LOG_LINE, Api
from model_manager.serving.kserve.kinds import PODS, SECRETS
from tests.serving.kserve.conftest import api_of
from tests.serving.kserve.fake_api import FakeApi


class _Failing(httpx2.Auth):
    """As a kubeconfig's program for credentials, which has ended badly."""

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        raise ConfigError("Exec login returned 1: s3cret")
        yield request


class _Sending(httpx2.Auth):
    def __init__(self, token: str) -> None:
        self._token = token

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._token}"
        yield request


@pytest.mark.parametrize("auth", [_Failing(), _Sending("s3cret\n")])
async def test_credentials_that_cannot_be_sent_are_an_outage_and_not_shown(
    api: FakeApi, auth: httpx2.Auth
) -> None:
    client = Api(lambda: httpx2.AsyncClient(base_url=api.url, auth=auth, trust_env=False), "default")
    with pytest.raises(Unavailable, match=r"cannot be asked to list pods \(\w+\)") as told:
        await client.list_all(PODS)
    assert "s3cret" not in f"{told.value} {told.value.__cause__}"
    await client.aclose()


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (200, b'{"items": "\xff"}', "answered no JSON"),
        (200, b"[" * 100_000, "answered no JSON"),
        (302, b"<html>", "answered 302"),
        (500, b'{"message": "\xff"}', "answered 500"),
    ],
)
async def test_an_answer_that_is_none_is_an_outage(
    status: int, body: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_manager.serving.kserve.api.TRIES", 1)
    answering = httpx2.MockTransport(lambda asked: httpx2.Response(status, content=body))
    client = Api(lambda: httpx2.AsyncClient(base_url="http://api", transport=answering), "default")
    with pytest.raises(Unavailable, match=said):
        await client.list_all(PODS)
    if status != 200:
        with pytest.raises(Unavailable, match=said):
            await anext(client.watch(PODS, "1", {}, seconds=1, silence=1))
    await client.aclose()


@pytest.mark.parametrize("name", ["..", ".", "../configmaps/settings", "a/status"])
async def test_a_name_is_never_the_path_of_something_else(api: FakeApi, name: str) -> None:
    client = api_of(api)
    with pytest.raises(NotFound, match="There is no secrets"):
        await client.get(SECRETS, name)
    assert api.asked == []
    await client.aclose()


async def test_a_line_of_a_log_is_not_endless(api: FakeApi) -> None:
    api.store.put(("pods", "default", "one"), {})
    api.logs["one", False] = ["first", "x" * 100_000]
    client = api_of(api)
    assert [len(line) for line in await client.log("one", "kserve-container", 5)] == [5, LONGEST_LOG_LINE]
    await client.aclose()


async def test_without_the_lease_nothing_is_changed_and_all_can_be_read(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_manager.serving.kserve.api.TRIES", 1)
    held = [True]
    client = Api(
        lambda: httpx2.AsyncClient(base_url=api.url, trust_env=False), "default", may_change=lambda: held[0]
    )
    item = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "one"}}
    uid = (await client.apply(SECRETS, item))["metadata"]["uid"]
    held[0] = False
    for change in (
        client.create(SECRETS, item),
        client.apply(SECRETS, item),
        client.merge(SECRETS, "one", {}),
        client.delete(SECRETS, "one", uid),
    ):
        with pytest.raises(Unavailable, match="sure to hold its lease"):
            await change
    assert [asked.verb for asked in api.asked] == ["patch"]
    await client.get(SECRETS, "one")
    await client.apply(SECRETS, item, dry_run=True)
    await client.aclose()
