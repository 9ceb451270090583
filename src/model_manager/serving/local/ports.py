"""Ports of 127.0.0.1 for model servers."""

import contextlib
import random
import socket

from model_manager.errors import Unavailable

HOST = "127.0.0.1"


QUIET = range(20_000, 32_768)
"""Below what systems give to outgoing connections (Linux from 32768, others from 49152): between our look and the
server's own bind, hardly anybody takes one of these."""


def free_port() -> int:
    """A port that nobody listens on now. The server binds it a moment later: whoever is faster is noticed by the
    health check, which asks who holds the socket."""
    for asked in (*random.sample(QUIET, 40), *[0] * 20):  # 0: any, of the system's choice
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, asked))
            port: int = probe.getsockname()[1]
            probe.close()
            if not answers(port):
                return port
    raise Unavailable("No free port was found on 127.0.0.1.", "Close programs that listen on many ports.")


def answers(port: int) -> bool:
    """Does anybody accept connections on this port? (A server on all addresses answers on 127.0.0.1 too.)"""
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return probe.connect_ex((HOST, port)) == 0
