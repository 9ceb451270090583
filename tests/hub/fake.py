"""A Hub on the loopback interface that behaves as the real one, and misbehaves on request.

Two servers, since the real one has two: the Hub (metadata, small files, redirects) and the CDN it sends to for
LFS files. Both keep what they were asked in `requests`.

    with FakeHub() as hub:
        hub.commit("org/model", {"config.json": b"{}", "model.safetensors": b"…"})
        hub.fail("model.safetensors", "bitflip", times=1)

As a program: `python -m tests.hub.fake FOLDER`, each `owner/name` below FOLDER a repository; prints its address.
"""

import hashlib
import json
import socket
import struct
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import parse_qs, quote, unquote, urlsplit

Failure = Literal[
    "bitflip", "html", "longer", "shorter", "cut", "reset", "stall", "drip",
    "401", "403", "404", "429", "500", "503", "moved-commit", "wrong-linked-size", "gzip", "cdn-403",
]  # fmt: skip

LFS_SUFFIXES = (".safetensors", ".gguf", ".bin")
LOGIN_PAGE = b"<!doctype html><title>Log in to the network</title>"


def blob_sha1(data: bytes) -> str:
    """The name Git gives these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Repo:
    """`commits`: commit -> path -> bytes; `refs`: branch or tag -> commit."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    private: bool = False


@dataclass(frozen=True)
class Request:
    """One request as it came: which server, method, path with query, headers in lower case."""

    server: str
    method: str
    path: str
    headers: dict[str, str]


class FakeHub:
    """The state behind both servers. Change it from the test at any time."""

    def __init__(self, tokens: tuple[str, ...] = ("hf_good",), page: int = 1000) -> None:
        self.repos: dict[str, Repo] = {}
        self.tokens = tokens
        self.page = page
        self.requests: list[Request] = []
        self.on_request: Callable[[Request], None] = lambda request: None
        self.release = threading.Event()
        self.loops = False  # every file's address then redirects to itself
        self._failures: dict[str, tuple[Failure, int]] = {}
        self._lock = threading.Lock()
        self._servers = {name: self._serve(name) for name in ("hub", "cdn")}

    def __enter__(self) -> "FakeHub":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.release.set()
        for server in self._servers.values():
            server.shutdown()
            server.server_close()

    def _serve(self, name: str) -> ThreadingHTTPServer:
        handler = type("Handler", (_Handler,), {"hub": self, "name": name})
        server = _Server(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def address(self, name: str = "hub") -> str:
        return f"http://127.0.0.1:{self._servers[name].server_port}"

    @property
    def url(self) -> str:
        return self.address("hub")

    def commit(self, repo_id: str, files: dict[str, bytes], branch: str = "main") -> str:
        """A new commit with exactly these files; the branch then points to it."""
        repo = self.repos.setdefault(repo_id, Repo())
        parent = repo.refs.get(branch, "")
        listing = sorted((path, blob_sha1(data)) for path, data in files.items())
        sha = hashlib.sha1(json.dumps([parent, listing]).encode("utf-8", "surrogatepass")).hexdigest()
        repo.commits[sha] = dict(files)
        repo.refs[branch] = sha
        return sha

    def fail(self, path: str, failure: Failure, times: int = 1_000_000) -> None:
        """Serve this file wrongly for the next `times` requests of its bytes."""
        with self._lock:
            self._failures[path] = (failure, times)

    def failure(self, path: str, kinds: tuple[Failure, ...]) -> Failure | None:
        """The failure that is due for a file; takes one from its count."""
        with self._lock:
            failure, times = self._failures.get(path, (None, 0))
            if failure is None or times <= 0 or failure not in kinds:
                return None
            self._failures[path] = (failure, times - 1)
            return failure

    def seen(self, server: str, part: str = "") -> list[Request]:
        return [request for request in self.requests if request.server == server and part in request.path]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that leave are part of the play."""


_ON_HUB: tuple[Failure, ...] = ("401", "403", "404", "moved-commit", "wrong-linked-size")
_ON_BYTES = tuple(kind for kind in get_args(Failure) if kind not in _ON_HUB)


class _Handler(BaseHTTPRequestHandler):
    hub: FakeHub
    name: str
    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = Request(self.name, self.command, self.path, headers)
        self.hub.requests.append(request)
        self.hub.on_request(request)
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.strip("/").split("/")]
        if self.name == "cdn":
            self._cdn(parts, parse_qs(url.query))
        elif parts[:2] == ["api", "models"] and len(parts) >= 4:
            self._api("/".join(parts[2:4]), parts[4:], parse_qs(url.query))
        elif len(parts) >= 5 and parts[2] == "resolve":
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._error(404, "EntryNotFound", "Sorry, we can't find the page you are looking for.")

    # -- metadata -------------------------------------------------------------

    def _api(self, repo_id: str, rest: list[str], query: dict[str, list[str]]) -> None:
        repo = self._visible(repo_id)
        if repo is None:
            return
        revision = rest[1] if len(rest) > 1 else "main"
        commit = self._commit(repo, revision)
        if commit is None:
            return
        if rest and rest[0] == "tree":
            self._tree(repo_id, repo, commit, int(query.get("cursor", ["0"])[0]))
            return
        files = [{"rfilename": path} for path in sorted(repo.commits[commit])]
        info = {
            "_id": "1", "id": repo_id, "modelId": repo_id, "sha": commit, "private": repo.private,
            "gated": "auto" if repo.gated else False, "disabled": False, "tags": [], "downloads": 0, "likes": 0,
            "siblings": files,
        }  # fmt: skip
        self._json(200, info)

    def _tree(self, repo_id: str, repo: Repo, commit: str, start: int) -> None:
        if repo.gated and not self._authorised():
            self._gated(repo_id)
            return
        items = []
        for path, data in sorted(repo.commits[commit].items()):
            item: dict[str, Any] = {"type": "file", "oid": blob_sha1(data), "size": len(data), "path": path}
            if path.endswith(LFS_SUFFIXES):
                digest = hashlib.sha256(data).hexdigest()
                item["lfs"] = {"oid": digest, "size": len(data), "pointerSize": 134}
                item["xetHash"] = digest
            items.append(item)
        folders = sorted({path.rsplit("/", 1)[0] for path in repo.commits[commit] if "/" in path})
        items += [{"type": "directory", "oid": "0" * 40, "size": 0, "path": folder} for folder in folders]
        end = start + self.hub.page
        headers = {}
        if end < len(items):
            url = f"{self.hub.url}/api/models/{repo_id}/tree/{commit}?recursive=True&cursor={end}"
            headers["Link"] = f'<{url}>; rel="next"'
        self._json(200, items[start:end], headers)

    # -- bytes ----------------------------------------------------------------

    def _resolve(self, repo_id: str, revision: str, path: str) -> None:
        if self.hub.loops:
            self._send(302, b"", {"Location": self.path}, "text/plain")
            return
        failure = self.hub.failure(path, _ON_HUB)
        repo = self._visible(repo_id)
        if repo is None:
            return
        if failure in ("401", "403", "404"):
            self._error(int(failure), "", "refused")
            return
        if repo.gated and not self._authorised():
            self._gated(repo_id)
            return
        commit = self._commit(repo, revision)
        if commit is None:
            return
        data = repo.commits[commit].get(path)
        if data is None:
            self._error(404, "EntryNotFound", "Entry not found")
            return
        headers = {"X-Repo-Commit": "f" * 40 if failure == "moved-commit" else commit}
        if not path.endswith(LFS_SUFFIXES):
            headers["ETag"] = f'"{blob_sha1(data)}"'
            self._body(path, data, headers)
            return
        digest = hashlib.sha256(data).hexdigest()
        size = len(data) + 1 if failure == "wrong-linked-size" else len(data)
        headers |= {"X-Linked-Size": str(size), "X-Linked-Etag": f'"{digest}"', "Accept-Ranges": "bytes"}
        headers["Location"] = (
            f"{self.hub.address('cdn')}/lfs/{digest}?name={quote(path)}&Signature=secret-signature"
        )
        self._send(302, b"Found. Redirecting", headers, "text/plain")

    def _cdn(self, parts: list[str], query: dict[str, list[str]]) -> None:
        path = query.get("name", [""])[0]
        for repo in self.hub.repos.values():
            for files in repo.commits.values():
                data = files.get(path)
                if data is not None and hashlib.sha256(data).hexdigest() == parts[-1]:
                    self._body(path, data, {"ETag": f'"{parts[-1]}"', "Accept-Ranges": "bytes"})
                    return
        self._error(404, "", "no such object")

    def _body(self, path: str, data: bytes, headers: dict[str, str]) -> None:
        """The bytes of a file, or what a failure makes of them."""
        failure = self.hub.failure(path, _ON_BYTES) if self.command == "GET" else None
        kind = "application/octet-stream"
        if failure in ("429", "500", "503", "cdn-403"):
            status = int(failure[-3:])
            self._send(status, b"busy", {"Retry-After": "0"}, "text/plain")
        elif failure == "html":
            self._send(200, LOGIN_PAGE, {}, "text/html; charset=utf-8")
        elif failure == "bitflip":
            middle = len(data) // 2
            self._send(200, data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :], headers, kind)
        elif failure == "longer":
            self._send(200, data + b"more", headers, kind)
        elif failure == "shorter":
            self._send(200, data[:-1], headers, kind)
        elif failure == "gzip":
            self._send(200, data, headers | {"Content-Encoding": "gzip"}, kind)
        elif failure in ("cut", "reset", "stall", "drip"):
            self._broken(failure, data, headers)
        else:
            self._send(200, data, headers, kind)

    def _broken(self, failure: str, data: bytes, headers: dict[str, str]) -> None:
        """Promise all, send half, then stop in one of four ways."""
        self._head(200, headers | {"Content-Length": str(len(data))}, "application/octet-stream")
        self.wfile.write(data[: len(data) // 2])
        self.wfile.flush()
        if failure == "stall":
            self.hub.release.wait()
        if failure == "drip":
            for byte in data[len(data) // 2 :]:
                if self.hub.release.wait(0.01):
                    break
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
        if failure == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        self.close_connection = True

    # -- answers --------------------------------------------------------------

    def _authorised(self) -> bool:
        return self.headers.get("Authorization", "").removeprefix("Bearer ") in self.hub.tokens

    def _visible(self, repo_id: str) -> Repo | None:
        """The repository; for one that is absent or hidden the real Hub's answer is 401 without a token, 404 with."""
        repo = self.hub.repos.get(repo_id)
        if repo is not None and not (repo.private and not self._authorised()):
            return repo
        if self.headers.get("Authorization"):
            self._error(404, "RepoNotFound", "Repository not found")
        else:
            self._error(401, "RepoNotFound", "Invalid username or password.")
        return None

    def _commit(self, repo: Repo, revision: str) -> str | None:
        commit = repo.refs.get(revision, revision)
        if commit in repo.commits:
            return commit
        self._error(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return None

    def _gated(self, repo_id: str) -> None:
        status = 403 if self.headers.get("Authorization") else 401
        self._error(status, "GatedRepo", f"Access to model {repo_id} is restricted.")

    def _error(self, status: int, code: str, message: str) -> None:
        headers = {"X-Error-Code": code, "X-Error-Message": message} if code else {}
        self._json(status, {"error": message}, headers)

    def _json(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self._send(status, json.dumps(body).encode(), headers or {}, "application/json; charset=utf-8")

    def _send(self, status: int, body: bytes, headers: dict[str, str], kind: str) -> None:
        self._head(status, headers | {"Content-Length": str(len(body))}, kind)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _head(self, status: int, headers: dict[str, str], kind: str) -> None:
        self.send_response(status)
        for key, value in {"Content-Type": kind, **headers}.items():
            self.send_header(key, value)
        self.end_headers()


def main(folder: Path) -> None:
    """Serve the repositories of a folder until the end of stdin."""
    with FakeHub() as hub:
        for repo in sorted(folder.glob("*/*")):
            files = [path for path in repo.rglob("*") if path.is_file()]
            hub.commit(
                repo.relative_to(folder).as_posix(),
                {path.relative_to(repo).as_posix(): path.read_bytes() for path in files},
            )
        print(hub.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
