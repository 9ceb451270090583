"""HTTPS, and certificates that change."""

import asyncio
import json
import logging
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme
import uvloop

from model_manager import app
from model_manager.errors import SettingsError
from model_manager.http import tls
from model_manager.http.connections import Limits
from model_manager.http.tls import Certificate, certificate
from tests.house import house_settings, write_catalog
from tests.http.echo import GET, LAST, QUICK, Peer, Server, echoing
from tests.waiting import until

AUTHORITY = trustme.CA()


def write(folder: Path, issued: trustme.LeafCert) -> tuple[Path, Path]:
    chain, key = folder / "tls.crt", folder / "tls.key"
    issued.private_key_pem.write_to_path(str(key))
    chain.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    return chain, key


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return write(tmp_path, AUTHORITY.issue_cert("127.0.0.1"))


@pytest.fixture
def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    AUTHORITY.configure_trust(context)
    return context


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are looked at for each handshake."""
    monkeypatch.setattr(tls, "LOOK_EVERY", 0.0)


def serial(peer: Peer) -> str:
    found = peer.writer.get_extra_info("ssl_object").getpeercert()
    return str(found["serialNumber"])


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_requests_over_tls(
    files: tuple[Path, Path], trusting: ssl.SSLContext, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    """Many at once: data that comes with the end of the handshake must not be lost, nor come too early."""

    async def ask() -> None:
        async with echoing(certificate=Certificate(*files)) as server:

            async def one() -> None:
                peer = await server.peer(GET + LAST, tls=trusting)
                assert (await peer.end()).count(b"HTTP/1.1 200 ") == 2

            for _ in range(5):
                await asyncio.gather(*(one() for _ in range(20)))
            await until(lambda: server.connections.count == 0)

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(ask())


@pytest.fixture
async def quick(files: tuple[Path, Path]) -> Iterator[Server]:  # type: ignore[misc]
    async with echoing(QUICK, certificate=Certificate(*files)) as server:
        yield server


async def test_h3a_who_does_not_shake_hands_is_cut_off(quick: Server) -> None:
    assert await quick.say(b"") == b""
    assert await quick.say(b"\x16\x03\x01") == b""
    await until(lambda: quick.connections.count == 0)


async def test_plain_http_to_the_tls_port_ends_without_a_line_in_the_log(
    quick: Server, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        assert not (await quick.say(GET)).startswith(b"HTTP/")
        await until(lambda: quick.connections.count == 0)
    assert caplog.records == []


async def test_connections_are_counted_before_their_handshake(
    files: tuple[Path, Path], trusting: ssl.SSLContext
) -> None:
    async with echoing(Limits(connections=2), certificate=Certificate(*files)) as server:
        silent = await server.peer()
        peer = await server.peer(GET, tls=trusting)
        await peer.answer()
        assert server.connections.count == 2
        assert await server.say(b"") == b""
        silent.abort()
        await until(lambda: server.connections.count == 1)
        await (await server.peer(GET, tls=trusting)).answer()


@pytest.mark.usefixtures("at_once")
async def test_a_new_certificate_is_for_new_handshakes(
    files: tuple[Path, Path], trusting: ssl.SSLContext
) -> None:
    async with echoing(certificate=Certificate(*files)) as server:
        before = await server.peer(GET, tls=trusting)
        await before.answer()
        write(files[0].parent, AUTHORITY.issue_cert("127.0.0.1"))
        after = await server.peer(GET, tls=trusting)
        await after.answer()
        assert serial(after) != serial(before)
        before.send(GET)  # who has a connection keeps it
        await before.answer()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("harm", ["junk", "empty", "gone", "mismatch"])
async def test_a_broken_new_certificate_leaves_the_old_one_in_use_and_says_so_once(
    files: tuple[Path, Path], trusting: ssl.SSLContext, caplog: pytest.LogCaptureFixture, harm: str
) -> None:
    async with echoing(certificate=Certificate(*files)) as server:
        first = await server.peer(GET, tls=trusting)
        await first.answer()
        if harm == "mismatch":
            AUTHORITY.issue_cert("127.0.0.1").private_key_pem.write_to_path(str(files[1]))
        elif harm == "gone":
            files[0].unlink()
        else:
            files[0].write_text(harm if harm == "junk" else "")
        for _ in range(3):
            peer = await server.peer(GET, tls=trusting)
            await peer.answer()
            assert serial(peer) == serial(first)
        (said,) = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
        assert said.startswith("the old TLS certificate stays in use: The TLS file")
        write(files[0].parent, AUTHORITY.issue_cert("127.0.0.1"))
        mended = await server.peer(GET, tls=trusting)
        await mended.answer()
        assert serial(mended) != serial(first)


@pytest.mark.usefixtures("at_once")
async def test_a_link_that_leads_elsewhere_is_a_change(tmp_path: Path, trusting: ssl.SSLContext) -> None:
    """As Kubernetes publishes a new secret."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, AUTHORITY.issue_cert("127.0.0.1"))
    data = tmp_path / "data"
    data.symlink_to("one")
    async with echoing(certificate=Certificate(data / "tls.crt", data / "tls.key")) as server:
        first = await server.peer(GET, tls=trusting)
        (tmp_path / "new").symlink_to("two")
        (tmp_path / "new").replace(data)
        second = await server.peer(GET, tls=trusting)
        assert serial(first) != serial(second)


def test_chain_and_key_in_one_file(files: tuple[Path, Path], tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(files[0].read_bytes() + files[1].read_bytes())
    Certificate(both, None)


def test_what_cannot_be_used_is_told_at_the_start(files: tuple[Path, Path], tmp_path: Path) -> None:
    chain, key = files
    locked, other, junk = tmp_path / "locked.key", tmp_path / "other.key", tmp_path / "junk"
    command = ["openssl", "pkcs8", "-topk8", "-in", str(key), "-out", str(locked), "-passout", "pass:x"]
    subprocess.run(command, check=True)
    AUTHORITY.issue_cert("other").private_key_pem.write_to_path(str(other))
    junk.write_text("junk")
    for arguments, words in [
        ((chain, other), "do not belong together"),
        ((chain, locked), "protected by a password"),
        ((chain, junk), "are not a certificate and a key"),
        ((junk, key), "are not a certificate and a key"),
        ((chain, None), "are not a certificate and a key"),
        ((chain, tmp_path / "none"), "cannot be read: No such file"),
        ((None, key), "no certificate"),
    ]:
        with pytest.raises(SettingsError) as caught:
            certificate(*arguments)
        assert words in caught.value.sentence
        assert "MODEL_MANAGER_TLS_CERT_FILE" in caught.value.hint
    assert certificate(None, None) is None


async def test_the_whole_service_says_where_it_is_and_the_command_line_reaches_it(
    files: tuple[Path, Path], tmp_path: Path
) -> None:
    write_catalog(tmp_path / "catalog", {})
    authority = tmp_path / "ca.pem"
    AUTHORITY.cert_pem.write_to_path(str(authority))
    settings = house_settings(tmp_path, tls_cert_file=files[0], tls_key_file=files[1])
    async with app.running(settings) as service:
        assert service.url.startswith("https://127.0.0.1:")
        said = json.loads((tmp_path / "state" / "service.json").read_text())
        assert said["url"] == service.url
        environment = {"HOME": str(tmp_path), "STATE_PATH": str(tmp_path / "state"), "PATH": "/usr/bin:/bin"}
        for trust, code in [({"SSL_CERT_FILE": str(authority)}, 0), ({}, 3)]:
            command = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "model_manager", "status", env=environment | trust,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            _, error = await command.communicate()
            assert command.returncode == code, error


async def test_a_service_whose_certificate_cannot_be_used_does_not_start(tmp_path: Path) -> None:
    settings = house_settings(tmp_path, tls_cert_file=tmp_path / "none.pem")
    with pytest.raises(SettingsError, match=r"none\.pem cannot be read"):
        async with app.running(settings):
            pass
    assert not (tmp_path / "state" / "state.db").exists()
