"""Ports of 127.0.0.1 for model servers."""

import socket

from model_manager.errors import Unavailable

HOST = "127.0.0.1"


def free_port() -> int:
    """A port that nobody listens on now. The server binds it a moment later: whoever is faster is noticed by the
    health check, which asks who holds the socket."""
    for _ in range(20):
        with socket.socket() as probe:
            probe.bind((HOST, 0))
            port: int = probe.getsockname()[1]
        if not answers(port):
            return port
    raise Unavailable("No free port was found on 127.0.0.1.", "Close programs that listen on many ports.")


def answers(port: int) -> bool:
    """Does anybody accept connections on this port? (A server on all addresses answers on 127.0.0.1 too.)"""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((HOST, port)) == 0
