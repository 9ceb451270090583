"""Who we are to the API server: a token that is replaced, and files that are not as they should be."""

from pathlib import Path

import httpx2
import pytest

from model_manager.errors import SettingsError, Unauthorized
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.connection import REREAD, TokenFile, connect
from model_manager.serving.kserve.kinds import PODS
from tests.serving.kserve.fake_api import FakeApi

KUBECONFIG = """
apiVersion: v1
kind: Config
current-context: one
contexts: [{{name: one, context: {{cluster: one, user: one}}}}]
clusters: [{{name: one, cluster: {{server: "{url}"}}}}]
users: [{{name: one, user: {{token: "{token}"}}}}]
"""


def with_token(api: FakeApi, auth: TokenFile) -> Api:
    return Api(lambda: httpx2.AsyncClient(base_url=api.url, auth=auth, trust_env=False), "default")


async def test_a12_a_rotated_token_is_read_again_and_the_request_made_once_more(
    api: FakeApi, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("one\n")
    api.tokens = {"one"}
    client = with_token(api, TokenFile(file))
    await client.list_all(PODS)
    api.tokens = {"two"}
    file.write_text("two")
    await client.list_all(PODS)
    assert [asked.headers["authorization"][7:] for asked in api.asked] == ["one", "one", "two"]
    file.write_text("")
    await client.list_all(PODS)
    api.tokens = {"three"}
    with pytest.raises(Unauthorized, match="credentials"):
        await client.list_all(PODS)
    await client.aclose()


async def test_a12_a_token_is_read_again_before_it_expires(api: FakeApi, tmp_path: Path) -> None:
    now = [0.0]
    file = tmp_path / "token"
    file.write_text("one")
    client = with_token(api, TokenFile(file, lambda: now[0]))
    await client.list_all(PODS)
    file.write_text("two")
    now[0] = REREAD + 1
    file.unlink()
    await client.list_all(PODS)
    file.write_text("two")
    await client.list_all(PODS)
    assert [asked.headers["authorization"][7:] for asked in api.asked] == ["one", "one", "two"]
    await client.aclose()


async def test_a_kubeconfig_names_server_and_token(api: FakeApi, tmp_path: Path) -> None:
    file = tmp_path / "config"
    file.write_text(KUBECONFIG.format(url=api.url, token="t"))
    api.tokens = {"t"}
    client = Api(lambda: connect(file), "default")
    assert await client.list_all(PODS) == ([], str(api.store.version))
    await client.aclose()


@pytest.mark.parametrize("text", ["", "[]", "a: b", "{", KUBECONFIG.replace("current-context: one", "")])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(SettingsError, match="Kubernetes configuration cannot be used"):
        connect(file)


def test_outside_of_a_cluster_that_is_said() -> None:
    with pytest.raises(SettingsError, match="no pod with a service account"):
        connect(None)
