"""Guessing tokens: how many a client may get wrong, and whom that does not hit."""

import pytest

from model_manager.tokens import Failures, Identity
from model_manager.tokens.failures import CLIENTS, LIMIT, OTHERS, PROVEN_FOR, TOLD, WINDOW, source
from tests.tokens.clock import Clock

CLIENT, OTHER = "192.0.2.1", "192.0.2.2"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def failures(clock: Clock) -> Failures:
    return Failures(clock=clock)


def guess(failures: Failures, client: str, times: int) -> list[bool]:
    return [failures.failed(client) for _ in range(times)]


def test_u9_ten_wrong_tokens_in_a_minute_block_their_client_until_it_is_over(
    failures: Failures, clock: Clock
) -> None:
    assert guess(failures, CLIENT, LIMIT - 1) == [False] * (LIMIT - 1)
    assert failures.seconds_blocked(CLIENT) == 0
    clock.now += 20.5
    assert failures.failed(CLIENT) is True
    assert failures.seconds_blocked(CLIENT) == 40
    assert failures.seconds_blocked(OTHER) == 0
    clock.now += WINDOW - 20.5
    assert failures.seconds_blocked(CLIENT) == 0
    assert failures.failed(CLIENT) is False


def test_u9_a_blocked_clients_right_token_counts_only_if_it_was_proven_before(
    failures: Failures, clock: Clock
) -> None:
    proven, fresh = Identity(name="a", scope="chat"), Identity(name="b", scope="chat")
    assert failures.succeeded(CLIENT, proven)
    assert failures.succeeded(OTHER, fresh)
    guess(failures, CLIENT, LIMIT)
    assert failures.succeeded(CLIENT, proven)
    assert not failures.succeeded(CLIENT, fresh)  # else guessing could go on
    clock.now += PROVEN_FOR
    guess(failures, CLIENT, LIMIT)
    assert not failures.succeeded(CLIENT, proven)


def test_what_is_told_is_summed_up_by_client(failures: Failures) -> None:
    guess(failures, CLIENT, 3)
    guess(failures, OTHER, 1)
    assert failures.take() == {CLIENT: 3, OTHER: 1}
    assert failures.take() == {}
    for number in range(TOLD + 50):
        failures.failed(f"198.51.100.{number}")
    told = failures.take()
    assert (len(told), told[OTHERS]) == (TOLD + 1, 50)


def test_u9_many_addresses_take_bounded_memory(failures: Failures) -> None:
    identity = Identity(name="a", scope="chat")
    for number in range(CLIENTS + 100):
        failures.failed(f"client-{number}")
        failures.succeeded(f"client-{number}", identity)
    assert len(failures._windows) == len(failures._proven) == CLIENTS
    assert len(failures.take()) == TOLD + 1


@pytest.mark.parametrize(
    ("client", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
        ("un:expected", "un:expected"),
    ],
)
def test_what_counts_as_one_client(client: str, counted_as: str) -> None:
    assert source(client) == counted_as
