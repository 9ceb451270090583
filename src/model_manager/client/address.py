"""A service's address, checked where it enters."""

from urllib.parse import SplitResult, urlsplit

from model_manager.errors import InvalidRequest


def parse_address(url: str) -> SplitResult:
    """The parts of a service's address. Raises InvalidRequest, without repeating a password."""
    if "@" in url:
        raise InvalidRequest(
            "An address must not hold a user name or password.",
            "Put the token into MODEL_MANAGER_API_TOKEN or a file named by MODEL_MANAGER_API_TOKEN_FILE.",
        )
    try:
        parts = urlsplit(url)
        if parts.scheme in ("http", "https") and parts.hostname and parts.port != 0:
            return parts
    except ValueError:  # a port that is no number, a broken IPv6 address
        pass
    raise InvalidRequest(f"{url!r} is not the address of a service.", "Write it like http://127.0.0.1:8080.")
