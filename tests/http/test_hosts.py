"""`Host` and `Origin`: under which names the service answers, and to whose web pages."""

from collections.abc import Sequence

import pytest

from model_manager.errors import Forbidden, InvalidRequest, MisdirectedRequest, ModelManagerError
from model_manager.http.hosts import Hosts, Origins

ANY = None
LISTED = ["models.example.com", "*.lab.example.com"]


@pytest.mark.parametrize(
    ("allowed", "host", "refusal"),
    [
        (ANY, b"anything.example", None),
        (ANY, b"10.0.0.7:8080", None),
        (ANY, b"[2001:db8::1]:8080", None),
        (ANY, b"model_manager.ai.svc", None),
        ([], b"127.0.0.1:8080", None),
        ([], b"127.8.8.8", None),
        ([], b"LOCALHOST:1", None),
        ([], b"[::1]:8080", None),
        ([], b"evil.example", MisdirectedRequest),
        ([], b"127.0.0.1.evil.example", MisdirectedRequest),
        ([], b"localhost.evil.example:8080", MisdirectedRequest),
        ([], b"128.0.0.1", MisdirectedRequest),
        ([], b"0.0.0.0", MisdirectedRequest),
        (LISTED, b"models.example.com", None),
        (LISTED, b"Models.Example.com:443", None),
        (LISTED, b"a.lab.example.com", None),
        (LISTED, b"a.b.lab.example.com", None),
        (LISTED, b"127.0.0.1:8080", None),
        (LISTED, b"lab.example.com", MisdirectedRequest),
        (LISTED, b"evillab.example.com", MisdirectedRequest),
        (LISTED, b"models.example.com.evil.example", MisdirectedRequest),
        (LISTED, b"other.example.com", MisdirectedRequest),
        # malformed, whatever is allowed
        (ANY, b"", InvalidRequest),
        (ANY, b"evil.example@127.0.0.1", InvalidRequest),
        (ANY, b"a b", InvalidRequest),
        (ANY, b"a/b", InvalidRequest),
        (ANY, b"a?b", InvalidRequest),
        (ANY, b"a:port", InvalidRequest),
        (ANY, b"a:8080:8080", InvalidRequest),
        (ANY, b"[::1", InvalidRequest),
        (ANY, b"a,b", InvalidRequest),
        (ANY, "ä.example".encode(), InvalidRequest),
        ([], b"localhost.", InvalidRequest),
        (LISTED, b".lab.example.com", InvalidRequest),
    ],
)
def test_h5a_names(
    allowed: Sequence[str] | None, host: bytes, refusal: type[ModelManagerError] | None
) -> None:
    hosts = Hosts(allowed)
    for _ in range(2):  # the second time from memory
        if refusal is None:
            hosts.check([host])
        else:
            with pytest.raises(refusal):
                hosts.check([host])


def test_h5a_one_host_and_not_two() -> None:
    for allowed in (None, LISTED):
        with pytest.raises(InvalidRequest):
            Hosts(allowed).check([b"localhost", b"localhost"])
    with pytest.raises(InvalidRequest):
        Hosts(LISTED).check([])
    Hosts(None).check([])  # HTTP/1.0


def test_good_names_take_bounded_memory() -> None:
    hosts = Hosts(None)
    for number in range(1000):
        hosts.check([b"host-%d" % number])
    assert len(hosts._good) == 256


@pytest.mark.parametrize(
    ("origin", "host", "good"),
    [
        (b"http://127.0.0.1:8080", b"127.0.0.1:8080", True),
        (b"https://models.example.com", b"models.example.com", True),
        (b"https://Models.example.com", b"models.EXAMPLE.com", True),
        (b"https://ui.example.com", b"models.example.com", True),
        (b"http://ui.example.com", b"models.example.com", False),
        (b"https://ui.example.com:8443", b"models.example.com", False),
        (b"http://localhost:3000", b"localhost:8080", False),
        (b"http://evil.example", b"127.0.0.1:8080", False),
        (b"http://127.0.0.1.evil.example", b"127.0.0.1", False),
        (b"127.0.0.1:8080", b"127.0.0.1:8080", False),
        (b"null", b"127.0.0.1:8080", False),
        (b"", b"127.0.0.1:8080", False),
    ],
)
def test_whose_pages(origin: bytes, host: bytes, good: bool) -> None:
    origins = Origins(["https://ui.example.com"])
    if good:
        origins.check([origin], [host])
    else:
        with pytest.raises(Forbidden, match="may not use this service"):
            origins.check([origin], [host])


def test_every_origin_of_a_request_must_be_good() -> None:
    with pytest.raises(Forbidden):
        Origins().check([b"http://localhost", b"http://evil.example"], [b"localhost"])
