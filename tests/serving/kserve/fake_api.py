"""A Kubernetes API server in this process: real HTTP, as much of it as the adapter uses, and faults on demand.

What it answers is what a real one (1.34, with KServe 0.20) was seen to answer; the contract suite runs on both.
"""

import asyncio
import json
import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.serving.kserve.fake_store import Key, Object, Refusal, Store, at

CLUSTER_WIDE = {"clusterservingruntimes", "nodes"}
_PATH = re.compile(
    r"/(?:api|apis/(?P<group>[^/]+))/v[^/]+(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<sub>[a-z]+))?"
)


@dataclass
class Asked:
    """One request, as the server understood it. `verb` as RBAC names it."""

    method: str
    path: str
    verb: str
    plural: str
    name: str
    namespace: str
    sub: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Fault:
    """What goes wrong with the next `times` requests that `match`: `answer`, `drop` (before) or `lose` (after)."""

    match: Callable[[Asked], bool]
    how: str = "answer"
    refusal: Refusal | None = None
    headers: dict[str, str] = field(default_factory=dict)
    times: int = 1


@dataclass
class _Watch:
    asked: Asked
    queue: "asyncio.Queue[bytes | None]"


class FakeApi:
    """`asked` is every request so far. `missing_kinds` are plurals whose CRD is not installed.

    `documents` are answers by path. `denied` is what a review of access denies, as (verb, resource).
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.tls = tls
        self.store = Store()
        self.store.told.append(self._tell)
        self.asked: list[Asked] = []
        self.faults: list[Fault] = []
        self.tokens: set[str] | None = None
        self.missing_kinds: set[str] = set()
        self.documents = {"/version": {"gitVersion": "v1.34.4"}}
        self.denied: set[tuple[str, str]] = set()
        self.logs: dict[tuple[str, bool], list[str]] = {}
        self.silent = False
        self.port = 0
        self._watches: list[_Watch] = []
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """As a kill does it: every connection breaks."""
        assert self._server is not None
        self._server.close()
        for writer in list(self._connections):
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- what a test may do -------------------------------------------------------------------------------

    def fail(self, code: int, reason: str, message: str, *, match: Callable[[Asked], bool] = lambda asked: True,
             times: int = 1, retry_after: int | None = None, **details: Any) -> None:  # fmt: skip
        headers = {"Retry-After": str(retry_after)} if retry_after else {}
        self.faults.append(Fault(match, "answer", Refusal(code, reason, message, **details), headers, times))

    def forbid(self, verb: str, plural: str) -> None:
        """RBAC has no rule for this, until the end."""
        group = "serving.kserve.io" if plural.endswith(("services", "runtimes")) else ""
        message = (
            f'{plural} is forbidden: User "system:serviceaccount:default:model-manager" cannot {verb} resource'
            f' "{plural}" in API group "{group}" in the namespace "default"'
        )
        self.denied.add((verb, plural))
        self.fail(403, "Forbidden", message, times=1 << 30, kind=plural,
                  match=lambda asked: (asked.verb, asked.plural) == (verb, plural))  # fmt: skip

    def watches(self, plural: str) -> int:
        return sum(watch.asked.plural == plural for watch in self._watches)

    def say(self, plural: str, line: bytes) -> None:
        """Send a line of one's own to every watch of this kind."""
        for watch in self._watches:
            if watch.asked.plural == plural:
                watch.queue.put_nowait(line)

    def end_watches(self, plural: str) -> None:
        for watch in self._watches:
            if watch.asked.plural == plural:
                watch.queue.put_nowait(None)

    def count(self, verb: str, plural: str) -> int:
        return sum((asked.verb, asked.plural) == (verb, plural) for asked in self.asked)

    # -- connections --------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections.add(writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while (asked := await _read(reader)) is not None:
                await self._answer(asked, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(writer)
            with suppress(Exception):
                writer.close()

    async def _answer(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        self.asked.append(asked)
        fault = self._fault(asked)
        if fault is not None and fault.how == "drop":
            raise ConnectionError
        try:
            if fault is not None and fault.refusal is not None:
                raise fault.refusal
            if self.tokens is not None and asked.headers.get("authorization", "")[7:] not in self.tokens:
                raise Refusal(401, "Unauthorized", "Unauthorized")
            if asked.plural in self.missing_kinds:
                return await _send(writer, 404, b"404 page not found\n", {"Content-Type": "text/plain"})
            if asked.verb == "watch":
                return await self._watch(asked, writer)
            if asked.sub == "log":
                return await _send(writer, 200, self._log(asked), {"Content-Type": "text/plain"})
            body: Any = self._handle(asked)
            status, headers = 200, {}
        except Refusal as refusal:
            body, status, headers = refusal.body, refusal.code, fault.headers if fault else {}
        if fault is not None and fault.how == "lose":
            raise ConnectionError
        await _send(writer, status, json.dumps(body).encode(), headers)
        return None

    def _fault(self, asked: Asked) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and fault.match(asked):
                fault.times -= 1
                return fault
        return None

    def _handle(self, asked: Asked) -> Any:
        key: Key = (asked.plural, asked.namespace, asked.name)
        dry = asked.query.get("dryRun") == "All"
        manager = asked.query.get("fieldManager", "unknown")
        if asked.path in self.documents:
            return self.documents[asked.path]
        match asked.verb:
            case "get":
                return self.store.get(key)
            case "list":
                return self._list(asked)
            case "create" if asked.plural.startswith("selfsubject"):
                return self._review(asked)
            case "create":
                return self.store.create(
                    (asked.plural, asked.namespace, asked.body["metadata"]["name"]), asked.body
                )
            case "patch" if "apply-patch" in asked.headers["content-type"]:
                force = asked.query.get("force") == "true"
                return self.store.apply(key, asked.body, manager, force=force, dry_run=dry)
            case "patch":
                return self.store.merge(key, asked.body, manager)
            case "delete":
                uid = asked.body.get("preconditions", {}).get("uid") if asked.body else None
                foreground = bool(asked.body) and asked.body.get("propagationPolicy") == "Foreground"
                held = ("foregroundDeletion",) if foreground and asked.plural == "inferenceservices" else ()
                left = self.store.delete(key, uid, held)
                return left or {"kind": "Status", "status": "Success", "details": {"name": asked.name}}
        raise Refusal(405, "MethodNotAllowed", f"{asked.method} is not supported")

    def _review(self, asked: Asked) -> Object:
        attributes = asked.body["spec"].get("resourceAttributes", {})
        resource = "/".join(filter(None, (attributes.get("resource"), attributes.get("subresource"))))
        status = {
            "allowed": (attributes.get("verb"), resource) not in self.denied,
            "userInfo": {"username": "system:serviceaccount:default:model-manager"},
        }
        return {**asked.body, "status": status}

    def serve_kinds(self, group_version: str, *plurals: str) -> None:
        """What discovery answers; for a group that is not there it is 404."""
        self.documents[f"/apis/{group_version}"] = {"resources": [{"name": plural} for plural in plurals]}

    def _list(self, asked: Asked) -> Object:
        found = [
            item for item in self.store.find(asked.plural, asked.namespace) if _selected(item, asked.query)
        ]
        begin, limit = int(asked.query.get("continue", 0)), int(asked.query.get("limit", 500))
        more = {"continue": str(begin + limit)} if len(found) > begin + limit else {}
        return {
            "kind": "List", "metadata": {"resourceVersion": str(self.store.version), **more},
            "items": found[begin : begin + limit],
        }  # fmt: skip

    def _log(self, asked: Asked) -> bytes:
        self.store.get(("pods", asked.namespace, asked.name))
        lines = self.logs.get((asked.name, asked.query.get("previous") == "true"), [])
        return "".join(f"{line}\n" for line in lines[-int(asked.query.get("tailLines", 1000)) :]).encode()

    # -- watches ------------------------------------------------------------------------------------------

    async def _watch(self, asked: Asked, writer: asyncio.StreamWriter) -> None:
        since = int(asked.query.get("resourceVersion") or 0)
        head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        writer.write(head.encode())
        watch = _Watch(asked, asyncio.Queue())
        if since < self.store.compacted:
            status = Refusal(410, "Expired", f"too old resource version: {since}").body
            watch.queue.put_nowait(_event("ERROR", status))
            watch.queue.put_nowait(None)
        for version, key, what, item in self.store.history:
            if version > since and self._concerns(watch, key, item):
                watch.queue.put_nowait(_event(what, item))
        self._watches.append(watch)
        try:
            async with asyncio.timeout(float(asked.query.get("timeoutSeconds", 300))):
                while (line := await watch.queue.get()) is not None:
                    if not self.silent:
                        writer.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                        await writer.drain()
        except TimeoutError:
            if self.silent:
                await asyncio.Event().wait()
        finally:
            self._watches.remove(watch)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    def _tell(self, key: Key, what: str, item: Object) -> None:
        for watch in self._watches:
            if self._concerns(watch, key, item):
                watch.queue.put_nowait(_event(what, item))

    def _concerns(self, watch: _Watch, key: Key, item: Object) -> bool:
        same = key[:2] == (watch.asked.plural, watch.asked.namespace)
        return same and _selected(item, watch.asked.query)


@asynccontextmanager
async def fake_api() -> AsyncIterator[FakeApi]:
    api = FakeApi()
    await api.start()
    try:
        yield api
    finally:
        await api.stop()


def _event(what: str, item: Object) -> bytes:
    return json.dumps({"type": what, "object": item}).encode() + b"\n"


def _selected(item: Object, query: dict[str, str]) -> bool:
    labels = item.get("metadata", {}).get("labels") or {}
    for term in filter(None, query.get("labelSelector", "").split(",")):
        name, equals, value = term.partition("=")
        if name not in labels or (equals and labels[name] != value):
            return False
    for term in filter(None, query.get("fieldSelector", "").split(",")):
        name, operator, value = re.split("(!?=)", term, maxsplit=1)
        if (str(at(item, tuple(name.split(".")))) == value) is (operator == "!="):
            return False
    return True


async def _read(reader: asyncio.StreamReader) -> Asked | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split(" ", 2)
    headers = {}
    while header := (await reader.readline()).decode().strip():
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    raw = await reader.readexactly(int(headers.get("content-length", 0)))
    url = urlsplit(target)
    query = {name: values[0] for name, values in parse_qs(url.query).items()}
    match = _PATH.fullmatch(url.path)
    parts = {name: unquote(value or "") for name, value in (match.groupdict() if match else {}).items()}
    name = parts.get("name", "")
    verb = {"GET": "get", "PATCH": "patch", "DELETE": "delete", "POST": "create"}[method]
    if verb == "get" and not name:
        verb = "watch" if query.get("watch") == "true" else "list"
    namespace = "" if parts.get("plural") in CLUSTER_WIDE else parts.get("namespace", "")
    body = json.loads(raw) if raw else None
    return Asked(
        method,
        url.path,
        verb,
        parts.get("plural", ""),
        name,
        namespace,
        parts.get("sub", ""),
        query,
        headers,
        body,
    )


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes, headers: dict[str, str]) -> None:
    told = {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}
    head = "".join(f"{name}: {value}\r\n" for name, value in told.items())
    writer.write(f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode() + body)
    await writer.drain()
