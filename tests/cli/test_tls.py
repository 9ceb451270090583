"""HTTPS: a certificate that is not trusted here, one that is, and the wrong one of the two protocols."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.cli.conftest import Run
from tests.cli.service import Service

AUTHORITY = trustme.CA()


@pytest.fixture
def secure() -> Iterator[Service]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    service = Service(tls=context)
    service.on("GET", "/jobs", {"jobs": []})
    yield service
    service.close()


def test_a_certificate_that_is_not_trusted(
    run: Run, secure: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_MANAGER_API_TOKEN", "s3cret")
    code, out, err = run("jobs", "--url", secure.url)
    assert (code, out) == (3, "")
    assert f"error: The certificate of {secure.url} is not trusted here" in err
    assert "SSL_CERT_FILE" in err
    assert secure.asked == []  # nobody has seen the token


def test_an_authority_of_ones_own(
    run: Run, secure: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    AUTHORITY.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    assert run("jobs", "--url", secure.url).code == 0
    assert run("jobs", "--url", secure.url.replace("127.0.0.1", "localhost")).code == 3  # another name


def test_plain_words_to_a_tls_port(run: Run, secure: Service) -> None:
    code, _, err = run("jobs", "--url", secure.url.replace("https", "http"))
    assert code == 3
    assert "Traceback" not in err


def test_tls_to_a_plain_port(run: Run, service: Service) -> None:
    code, _, err = run("jobs", "--url", service.url.replace("http", "https"))
    assert code == 3
    assert "write http:// when the service speaks plain HTTP" in err
