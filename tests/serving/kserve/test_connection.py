"""Who we are to the API server: a token that is replaced, and files that are not as they should be."""

import asyncio
import ssl
from pathlib import Path

import httpx2
import pytest
import trustme

from model_manager.errors import SettingsError, Unavailable
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.connection import REREAD, TokenFile, connect
from model_manager.serving.kserve.kinds import PODS, name_of
from model_manager.serving.kserve.mirror import Mirror
from tests.serving.kserve.conftest import QUICK
from tests.serving.kserve.fake_api import FakeApi
from tests.waiting import until

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
    with pytest.raises(Unavailable, match="credentials"):
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


NO_CONTEXT = KUBECONFIG.replace("current-context: one", "")
NO_USER = KUBECONFIG.replace("user: one", "user: ''").format(url="http://127.0.0.1", token="t")


@pytest.mark.parametrize("text", ["", "[]", "a: b", "{", NO_CONTEXT, NO_USER])
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config"
    file.write_text(text)
    with pytest.raises(SettingsError, match="Kubernetes configuration cannot be used"):
        connect(file)


def test_outside_of_a_cluster_that_is_said() -> None:
    with pytest.raises(SettingsError, match="no pod with a service account"):
        connect(None)


async def test_a13_a_renewed_authority_is_read_again_by_requests_and_watches(tmp_path: Path) -> None:
    """The API server comes back with a certificate of another authority, which the kubelet has written by then."""
    trusted = tmp_path / "ca.crt"

    def authority() -> ssl.SSLContext:
        made, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.issue_cert("127.0.0.1").configure_cert(context)
        made.cert_pem.write_to_path(str(trusted))
        return context

    def client() -> httpx2.AsyncClient:
        opened.append(trusted.read_bytes())
        verify = ssl.create_default_context(cafile=str(trusted))
        return httpx2.AsyncClient(base_url=server.url, verify=verify, trust_env=False)

    opened: list[bytes] = []
    server = FakeApi(authority())
    await server.start()
    server.store.put(("pods", "default", "one"), {})
    api = Api(client, "default")
    mirrors = [Mirror(api, PODS, lambda item: None, QUICK, {}) for _ in range(3)]
    tasks = [asyncio.create_task(mirror.run()) for mirror in mirrors]
    try:
        await until(lambda: all(mirror.get("one") for mirror in mirrors))
        await server.stop()
        server.tls = authority()
        await server.start()
        server.store.put(("pods", "default", "two"), {})
        assert name_of(await api.get(PODS, "two")) == "two"
        await until(lambda: all(mirror.get("two") and mirror.trouble is None for mirror in mirrors))
        assert len(set(opened)) == 2
        assert len(opened) == 2, "once for all who met it"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await api.aclose()
        await server.stop()
