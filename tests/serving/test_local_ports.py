"""Ports for model servers, beside programs that take them."""

import socket
from collections.abc import Iterator

import pytest

from model_manager.serving.local import ports


@pytest.fixture
def taken() -> Iterator[int]:
    """A port on which somebody listens, on all addresses."""
    with socket.create_server(("0.0.0.0", 0)) as server:
        yield server.getsockname()[1]


def test_p6_ports_are_not_those_of_outgoing_connections() -> None:
    found = {ports.free_port() for _ in range(20)}
    assert found <= set(ports.QUIET)
    assert len(found) > 15  # two slots that start together are not given the same one


def test_p6_a_port_on_which_somebody_listens_is_not_given(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports.random, "sample", lambda *_: [taken, taken])
    assert ports.free_port() != taken


def test_p6_where_all_quiet_ports_are_taken_the_system_chooses(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "QUIET", range(taken, taken + 1))
    monkeypatch.setattr(ports.random, "sample", lambda population, _: list(population))
    assert ports.free_port() not in (0, taken)
