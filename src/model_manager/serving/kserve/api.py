"""The verbs of the Kubernetes API that are used here, on plain JSON.

lightkube says where the API server is and who we are (`connection.py`). Its own verbs are not used: they know no
UID for a delete, decode every object into the types of one version, end a watch at a line they cannot read, and
start it again by themselves.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

import httpx2
import msgspec

from model_manager.errors import Forbidden, ModelManagerError, NotFound, TooManyRequests, Unavailable
from model_manager.serving.kserve.kinds import NOT_JSON, PODS, Kind, Object, items, mapping, metadata
from model_manager.serving.kserve.refusals import StaleVersion, refusal

MANAGER = "model-manager"
"""Our name among the managers of an object's fields."""

TRIES, TRIES_OF_A_WRITE = 3, 5
LONGEST_WAIT = 5.0
"""Seconds that a request waits before it is tried again, at most; longer ones are told to whoever asked."""

SETTLING = 30.0
"""Seconds after the API server was away in which its 403 is not final: one that starts answers before it has read
its roles, and until then everything is forbidden (seen with Kubernetes 1.34)."""

LONGEST_LINE = 16 << 20
"""Bytes of one watch event: an object may have 1.5 MB, and its managed fields as much again."""

ANSWERED_WITHIN = 60.0
"""Seconds for a whole answer, and for whatever program a kubeconfig has for credentials."""

LONGEST_LOG_LINE = 8192
"""Characters of a line of a log that are shown."""

PAGE = 500
"""Objects of a list that are asked for at once."""

Open = Callable[[], httpx2.AsyncClient]
Query = Mapping[str, str]


class Api:
    """Requests to the API server, each tried again where that is safe. Raises our own errors, with a sentence.

    `connect` opens a client; it is called again when the server's certificate is not trusted any more, since its
    authority may have been renewed. `may_change` is asked before each try of a change: with two services on one
    cluster, whoever was paused for long must not go on where it was.
    """

    def __init__(
        self, connect: Open, namespace: str, clock: Callable[[], float] = time.monotonic,
        may_change: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self._connect, self._clock, self._may_change = connect, clock, may_change
        self._client = connect()
        self._lost = float("-inf")
        self.namespace = namespace

    async def get(self, kind: Kind, name: str, namespace: str = "") -> Object:
        """`namespace`: another one than ours."""
        path = kind.path(namespace, name) if namespace else ""
        return await self._json("GET", "get", kind, name, path=path)

    async def list_all(self, kind: Kind, select: Query = MappingProxyType({})) -> tuple[list[Object], str]:
        """All objects, page by page, and the resource version that a watch goes on from.

        `select`: `labelSelector` and `fieldSelector`.
        """
        found: list[Object] = []
        params = {"limit": str(PAGE), **select}
        while True:
            page = await self._json("GET", "list", kind, params=params)
            found += items(page.get("items"))
            about = metadata(page)
            if not about.get("continue"):
                return found, str(about.get("resourceVersion", ""))
            params["continue"] = about["continue"]

    async def create(self, kind: Kind, item: Object) -> Object:
        """AlreadyExists when there is one of this name: perhaps ours, and the answer that said so was lost."""
        return await self._json("POST", "create", kind, content=item, changes=True)

    async def apply(
        self, kind: Kind, item: Object, *, dry_run: bool = False, force: bool = False, manager: str = MANAGER
    ) -> Object:
        """Server-side apply: what we stop sending is removed, what others own is left alone or a Conflict."""
        params = {"fieldManager": manager, "force": str(force).lower()}
        params |= {"dryRun": "All"} if dry_run else {}
        return await self._json(
            "PATCH", "patch", kind, str(metadata(item)["name"]), params=params, content=item,
            content_type="application/apply-patch+yaml", changes=not dry_run,
        )  # fmt: skip

    async def merge(self, kind: Kind, name: str, patch: Object) -> Object:
        """A JSON merge patch (RFC 7396); with `metadata.resourceVersion` in it only if nothing has changed."""
        params = {"fieldManager": MANAGER}
        return await self._json(
            "PATCH",
            "patch",
            kind,
            name,
            params=params,
            content=patch,
            content_type="application/merge-patch+json",
            changes=True,
        )

    async def delete(self, kind: Kind, name: str, uid: str) -> Object:
        """Only the object with this UID: one made anew under the name is another one. Its children go first."""
        options = {
            "apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Foreground",
            "preconditions": {"uid": uid},
        }  # fmt: skip
        return await self._json("DELETE", "delete", kind, name, content=options, changes=True)

    async def log(self, pod: str, container: str, lines: int, *, previous: bool = False) -> list[str]:
        """The last lines of a container; of its run before that with `previous`."""
        params = {"container": container, "tailLines": str(lines), "limitBytes": str(1 << 20)}
        params |= {"previous": "true"} if previous else {}
        response = await self._send("GET", "get", PODS, pod, subresource="log", params=params)
        said = response.content.decode("utf-8", "replace").splitlines()[-lines:]
        return [line[:LONGEST_LOG_LINE] for line in said]

    async def version(self) -> dict[str, Any]:
        return await self._json("GET", "get", Kind("", "", ""), path="/version")

    async def served(self, group: str, version: str) -> set[str]:
        """The plurals of the kinds that the server has in a version of a group; none where it lacks the version."""
        try:
            path = f"/apis/{group}/{version}"
            answer = await self._json("GET", "get", Kind(group, version, "resources"), path=path)
        except NotFound:
            return set()
        return {str(item.get("name")) for item in items(answer.get("resources"))}

    async def review(self, kind: Kind, name: str, spec: Object) -> Object:
        """What the server says of ourselves: a SelfSubject… review's status. Nothing is stored."""
        body = {"apiVersion": f"{kind.group}/{kind.version}", "kind": name, "spec": spec}
        return mapping((await self._json("POST", "create", kind, content=body)).get("status"))

    async def watch(
        self, kind: Kind, since: str, select: Query, *, seconds: float, silence: float,
        opened: Callable[[], None] = lambda: None,
    ) -> AsyncGenerator[bytes, None]:  # fmt: skip
        """The lines of one watch, undecoded. Ends when the server ends it (after `seconds`).

        `opened` is called when the server has agreed to it, which may be long before it has something to tell.

        Raises Unavailable when the connection breaks or nothing comes for `silence` seconds.
        """
        params = {
            "watch": "true", "resourceVersion": since, "timeoutSeconds": str(max(1, int(seconds))), **select
        }  # fmt: skip
        timeout = httpx2.Timeout(10.0, read=silence)
        with self._noticing_loss("watch", kind):
            request = self._client.build_request(
                "GET", kind.path(self.namespace), params=params, timeout=timeout
            )
            response = await self._client.send(request, stream=True)
            try:
                if response.status_code >= 300:
                    raise self._refused(response, await response.aread(), "watch", kind, "")
                opened()
                async with aclosing(_lines(response)) as lines:
                    async for line in lines:
                        yield line
            finally:
                await response.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()

    # -- one request --------------------------------------------------------------------------------------

    async def _json(self, method: str, verb: str, kind: Kind, name: str = "", **more: Any) -> Object:
        response = await self._send(method, verb, kind, name, **more)
        try:
            return mapping(msgspec.json.decode(response.content))
        except NOT_JSON as e:
            raise Unavailable(
                f"The Kubernetes API server answered no JSON when asked to {verb} {kind.qualified}."
            ) from e

    async def _send(
        self, method: str, verb: str, kind: Kind, name: str = "", *, changes: bool = False, **more: Any
    ) -> httpx2.Response:
        """Every verb here may be repeated: an apply says the whole, a delete names its UID.

        What others wrote in the same moment is kept: the server merges the repeated write with it.
        """
        for attempt in range(1, TRIES_OF_A_WRITE + 1):
            try:
                if changes and not self._may_change():
                    raise Unavailable(
                        "This service is not sure to hold its lease: it changes nothing.",
                        _HINT,
                        retry_after=1,
                    )
                return await self._once(method, verb, kind, name, **more)
            except (TooManyRequests, Unavailable) as busy:
                wait = float(busy.data.get("retry_after", 0.1 * 2**attempt))
                if attempt >= TRIES or wait > LONGEST_WAIT:
                    raise
            except StaleVersion:
                wait = 0.02 * 2**attempt
                if attempt == TRIES_OF_A_WRITE:
                    raise
            await asyncio.sleep(wait * (1 + 0.2 * random.random()))  # not all at once
        raise AssertionError("unreachable")

    async def _once(
        self, method: str, verb: str, kind: Kind, name: str, *, subresource: str = "", path: str = "",
        params: dict[str, str] | None = None, content: Any = None, content_type: str = "application/json",
    ) -> httpx2.Response:  # fmt: skip
        if name in (".", "..") or "/" in name:
            # Named so by a catalog: it would be the path of something else.
            raise NotFound(f"There is no {kind.qualified} {name[:100]!r}.")
        path = path or kind.path(self.namespace, quote(name), subresource)
        body = None if content is None else msgspec.json.encode(content)
        headers = {"Content-Type": content_type} if body is not None else {}
        client = self._client
        try:
            with self._noticing_loss(verb, kind):
                async with asyncio.timeout(ANSWERED_WITHIN):
                    response = await client.request(
                        method, path, params=params, content=body, headers=headers
                    )
        except _Distrusted:
            await self._reopen(client)
            raise
        if response.status_code >= 300:
            raise self._refused(response, response.content, verb, kind, name)
        return response

    @contextmanager
    def _noticing_loss(self, verb: str, kind: Kind) -> Iterator[None]:
        """What keeps a request from being answered, as our own error; the API server was not there then.

        Besides httpx2 that is whatever a kubeconfig's program for credentials raises. Only errors of the network are
        shown: the others may quote the credentials themselves.
        """
        doing = f"{verb} {kind.qualified}"
        try:
            yield
        except ModelManagerError:
            raise
        except (httpx2.TimeoutException, TimeoutError) as error:
            self._lost = self._clock()
            raise Unavailable(
                f"The Kubernetes API server did not answer in time when asked to {doing}.", _HINT
            ) from error
        except (httpx2.NetworkError, httpx2.RemoteProtocolError, OSError) as error:
            self._lost = self._clock()
            cls = _Distrusted if "CERTIFICATE_VERIFY_FAILED" in str(error) else Unavailable
            raise cls(
                f"The Kubernetes API server cannot be reached: {str(error) or type(error).__name__}.", _HINT
            ) from error
        except Exception as error:
            self._lost = self._clock()
            raise Unavailable(
                f"The Kubernetes API server cannot be asked to {doing} ({type(error).__name__}).",
                "Look at the token of this service's account or kubeconfig, or at the program that gets it.",
            ) from None

    def _refused(
        self, response: httpx2.Response, body: bytes, verb: str, kind: Kind, name: str
    ) -> ModelManagerError:
        error = refusal(response.status_code, body, response.headers.get("Retry-After"), verb, kind, name)
        if isinstance(error, Forbidden) and self._clock() - self._lost < SETTLING:
            return Unavailable(
                f"The Kubernetes API server has just come back and does not know our rights yet: {error.sentence}",
                _HINT, retry_after=1,
            )  # fmt: skip
        return error

    async def _reopen(self, distrusting: httpx2.AsyncClient) -> None:
        """With the authorities of now, unless another request has done so already."""
        if self._client is distrusting:
            self._client = self._connect()
            await distrusting.aclose()


class _Distrusted(Unavailable):
    """The server's certificate is not signed by the authority that we know."""


_HINT = "What runs goes on running; this is tried again."


async def _lines(response: httpx2.Response) -> AsyncGenerator[bytes, None]:
    """By the byte `\\n` alone: texts inside JSON may hold what else counts as a line's end."""
    rest = bytearray()
    async for chunk in response.aiter_bytes():
        rest += chunk
        if b"\n" in chunk:
            *whole, last = rest.split(b"\n")
            rest = bytearray(last)
            for line in whole:
                if line.strip():
                    yield bytes(line)
        if len(rest) > LONGEST_LINE:
            raise Unavailable("The Kubernetes API server sent an event that is too long to be one.")
    if rest.strip():
        yield bytes(rest)
