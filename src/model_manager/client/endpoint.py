"""What both clients are made of: where the service is, and what it wants to see."""

import ssl

from model_manager.client.address import parse_address

CONNECT_TIMEOUT = 5.0
"""Seconds until a silent address counts as not answering."""

ANSWER_TIMEOUT = 60.0
"""Seconds to wait for an answer, and between two pieces of a stream (a heartbeat comes every 15 s)."""


class Endpoint:
    """The service at `url` (`http://…` or `https://…`), with `token` where one is needed.

    `timeout` in seconds. `tls` is the context for https, by default the system's trust (and SSL_CERT_FILE).
    Raises InvalidRequest for what is no address.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = ANSWER_TIMEOUT,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._address = parse_address(url)
        self._token = token
        self._timeout = timeout
        self._tls = tls

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.url!r})"  # never the token
