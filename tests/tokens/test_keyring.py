"""Whose token it is: the static one, issued ones, and everything else."""

import inspect
from hashlib import sha256

import pytest

from model_manager.tokens import Identity, Keyring
from tests.tokens.clock import Clock

STATIC, ISSUED = "the-static-token", b"mm_issued"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keyring(clock: Clock) -> Keyring:
    return Keyring(STATIC, clock)


def issued(keyring: Keyring, expires_at: float | None = None) -> Identity:
    identity = Identity(name="token:ci", scope="read", expires_at=expires_at)
    keyring.add(sha256(ISSUED).digest(), identity)
    return identity


def test_the_static_token_is_the_administrators(keyring: Keyring) -> None:
    found = keyring.identify(STATIC.encode())
    assert found is not None
    assert (found.name, found.scope, found.models) == ("admin", "admin", None)


@pytest.mark.parametrize(
    "token",
    [
        b"",
        STATIC.encode() + b"\0",
        STATIC[:-1].encode(),
        b"' OR 1=1 --",
        b"\xff\xfe\x80",
        b"%s%n",
        b"x" * 1_000_000,
    ],
)
def test_u5_anything_else_is_nobodys(keyring: Keyring, token: bytes) -> None:
    assert keyring.identify(token) is None
    assert keyring.why_not(token) == "The token is not a valid one."


@pytest.mark.parametrize("token", [b"", b"\0" * 32])
def test_u1_without_a_static_token_nobody_is_its_holder(token: bytes) -> None:
    assert Keyring().identify(token) is None


def test_u2_tokens_are_only_ever_looked_up_by_their_hash() -> None:
    _, _, body = inspect.getsource(Keyring.identify).rpartition('"""')
    assert "compare_digest(digest, self._static_digest)" in body
    assert body.count("token") == body.count("sha256(token)") == 1


def test_an_issued_token_is_known_until_it_is_revoked(keyring: Keyring, clock: Clock) -> None:
    identity = issued(keyring)
    assert keyring.identify(ISSUED) is identity
    assert identity.used_at == clock.now
    keyring.end(sha256(ISSUED).digest())
    assert keyring.identify(ISSUED) is None
    assert identity.ended.is_set()
    assert keyring.why_not(ISSUED) == "token:ci was revoked."


def test_u4_a_token_expires_while_nobody_asks(keyring: Keyring, clock: Clock) -> None:
    identity = issued(keyring, expires_at=clock.now + 10)
    called: list[bool] = []
    identity.ended.callbacks.add(lambda: called.append(True))
    clock.now += 9.9
    keyring.end_expired()
    assert keyring.identify(ISSUED) is identity
    clock.now += 0.1
    keyring.end_expired()
    keyring.end_expired()
    assert (identity.ended.is_set(), called) == (True, [True])
    assert keyring.identify(ISSUED) is None
    assert keyring.why_not(ISSUED) == "token:ci has expired."


def test_an_expired_token_is_refused_before_the_timer_sees_it(keyring: Keyring, clock: Clock) -> None:
    identity = issued(keyring, expires_at=clock.now)
    assert keyring.identify(ISSUED) is None
    assert identity.ended.is_set()


def test_u10_another_static_token_ends_the_former(keyring: Keyring) -> None:
    former = keyring.identify(STATIC.encode())
    assert former is not None
    keyring.set_static(STATIC)
    assert keyring.identify(STATIC.encode()) is former
    keyring.set_static("another")
    assert keyring.identify(STATIC.encode()) is None
    assert former.ended.is_set()
    assert keyring.identify(b"another") is not former
