"""Under which names the service answers, and whose web pages may ask it.

A browser lets a page read what its own host answers. If a page leads its name to our address (DNS rebinding),
`Host` has that name; if it sends what needs no permission (a form), `Origin` has the page's.
"""

import re
from collections.abc import Iterable

from model_manager.errors import Forbidden, InvalidRequest, MisdirectedRequest

_HOST = re.compile(r"(?P<name>[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\])(:\d{1,5})?", re.IGNORECASE)

LOOPBACK = r"(localhost|127(\.\d{1,3}){3}|\[::1\])"
_LOOPBACK = re.compile(LOOPBACK)

_REMEMBERED = 256
"""Values of `Host` found good, kept so that most requests cost one look-up."""


class Hosts:
    """The names of `allowed` (`*.example.com`: those below it) and of loopback; every name when `allowed` is None.

    Loopback's are always good: no page can be served under them but by a program of that machine.
    """

    def __init__(self, allowed: Iterable[str] | None) -> None:
        names = None if allowed is None else [name.lower() for name in allowed]
        self._any = names is None
        self._names = frozenset(name for name in names or () if not name.startswith("*."))
        self._suffixes = tuple(name[1:] for name in names or () if name.startswith("*."))
        self._good: set[bytes] = set()

    def check(self, hosts: list[bytes]) -> None:
        """Raises MisdirectedRequest for a name that is none of ours, InvalidRequest for two, or for none at all."""
        if len(hosts) == 1 and hosts[0] in self._good:
            return
        if len(hosts) != 1 and not (self._any and not hosts):  # HTTP/1.0 has none
            raise InvalidRequest("A request names its `Host` exactly once.")
        if not hosts:
            return
        shown = hosts[0].decode("latin-1")
        match = _HOST.fullmatch(shown)
        if match is None:
            raise InvalidRequest(f"The `Host` {shown[:100]!r} is not a host name with or without a port.")
        if not self._is_ours(match["name"].lower()):
            raise MisdirectedRequest(
                f"This service does not answer under the name {match['name'][:100]!r}.",
                "If it should, add the name to MODEL_MANAGER_ALLOWED_HOSTS.",
            )
        if len(self._good) < _REMEMBERED:
            self._good.add(hosts[0])

    def _is_ours(self, name: str) -> bool:
        if self._any or name in self._names or _LOOPBACK.fullmatch(name):
            return True
        return name.endswith(self._suffixes)


class Origins:
    """Our own pages and those of the listed origins, such as `https://ui.example.com`."""

    def __init__(self, listed: Iterable[str] = ()) -> None:
        self._listed = frozenset(origin.lower().encode() for origin in listed)

    def __bool__(self) -> bool:
        return bool(self._listed)

    def is_listed(self, origin: bytes) -> bool:
        return origin.lower() in self._listed

    def check(self, origins: list[bytes], hosts: list[bytes]) -> None:
        """Raises Forbidden for a web page from elsewhere, whatever else the request carries."""
        for origin in origins:
            own = origin.partition(b"://")[2].lower() in [host.lower() for host in hosts]
            if not own and not self.is_listed(origin):
                raise Forbidden(
                    f"Web pages of {origin[:100].decode('latin-1')!r} may not use this service.",
                    "If they should, add the origin to MODEL_MANAGER_CORS_ORIGINS.",
                )
