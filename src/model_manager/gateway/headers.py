"""Which headers cross the gateway. Pure.

Towards the model server only those of a short list go: the client's credentials and cookies are for us,
not for a model. Towards the client all go but those that speak for the server itself.
"""

from collections.abc import Iterable

from model_manager.serving.targets import Target

Headers = list[tuple[bytes, bytes]]

Pairs = tuple[tuple[bytes, bytes], ...]

_TO_SERVER = frozenset({b"accept", b"accept-encoding", b"traceparent", b"tracestate", b"user-agent"})

_NOT_TO_CLIENT = frozenset(
    {
        b"alt-svc",
        b"content-length",  # set from the framing that was checked
        b"date",  # ours
        b"server",  # ours
        b"set-cookie",
        b"strict-transport-security",
        b"www-authenticate",
        b"x-accel-buffering",
        b"x-request-id",  # ours
    }
)


def from_client(headers: Iterable[tuple[bytes, bytes]]) -> Pairs:
    """The client's headers that concern the answer."""
    return (*(pair for pair in headers if pair[0] in _TO_SERVER), (b"content-type", b"application/json"))


def to_server(headers: Pairs, target: Target) -> Pairs:
    """What `from_client` left, and the server's own key."""
    if not target.key:
        return headers
    return (*headers, (b"authorization", b"Bearer " + target.key.encode("utf-8")))


def to_client(headers: Iterable[tuple[bytes, bytes]], server_key: str | None) -> Headers:
    """The server's headers without its cookies, its CORS (which would open our origin) and its key."""
    key = server_key.encode("utf-8") if server_key else None
    return [
        (name, value)
        for name, value in headers
        if name not in _NOT_TO_CLIENT
        and not name.startswith(b"access-control-")
        and (key is None or key not in value)
    ]
