"""U6: planted secrets, a house that uses all of them, and every place where one could have come out."""

import io
import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from model_manager import logs
from model_manager.errors import SettingsError
from tests.catalog.conftest import run
from tests.catalog.gitserver import GitServer
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes
from tests.hub.fake import FakeHub
from tests.web.asking import install

PLANTED = {
    "static token": "canary-static-3f9a1c",
    "hub token": "hf_canaryHub77d2e0",
    "git token": "ghp_canaryGit51b8aa",
    "webhook secret": "canary-webhook-90ee41",
    "wrong token": "canary-wrong-c0ffee",
    "token in a query": "canary-query-5ca1ab1e",
}
READ = (
    "/history?limit=1000", "/jobs", "/activations", "/slots", "/slots/active-llm/logs", "/models", "/weights",
    "/system/info", "/settings", "/tokens", "/catalog", "/catalog/problems", "/support-bundle", "/metrics",
    "/metrics/history", "/events", "/v1/models",
)  # fmt: skip


class Processes:
    """What every process below this one was started with: looked at again and again, for some live for a moment."""

    def __init__(self) -> None:
        self.arguments: set[bytes] = set()
        self.environments: dict[bytes, set[bytes]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    @contextmanager
    def watched(self) -> Iterator["Processes"]:
        self._thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.002):
            for pid in _below(os.getpid()):
                self._look(Path(f"/proc/{pid}"))

    def _look(self, process: Path) -> None:
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
            same = command == (process / "cmdline").read_bytes()
        except OSError:
            return
        if same and command:  # else it became another program between the looks
            self.arguments.add(command)
            self.environments.setdefault(command, set()).add(environment)


def _below(pid: int) -> Iterator[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        found = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:  # it ended
        return
    for child in found:
        yield child
        yield from _below(child)


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Everything that is logged, down to debug, as the service would write it; without this test's own client."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    try:
        logs.configure("debug", "json", stream)
        root.handlers[0].addFilter(lambda record: not record.name.startswith(("httpx2", "httpcore2")))
        yield stream
    finally:
        root.handlers[:], root.level = handlers, level


def settings(folder: Path, hub: FakeHub, git: GitServer) -> Any:
    write_runtimes(folder / "runtimes", [runtime("well"), runtime("exits", "exit:3")])
    (folder / "git-token").write_text(f"ann\n{PLANTED['git token']}\n")
    return house_settings(
        folder, api_token=PLANTED["static token"], reads="token", webhook_secret=PLANTED["webhook secret"],
        hub_token=PLANTED["hub token"], hub_endpoint=hub.url, catalog_url=f"{git.url}/catalog/.git",
        catalog_credentials_file=folder / "git-token",
    )  # fmt: skip


def git_catalog(folder: Path) -> Path:
    models = {"demo": "well", "broken": "exits", "hub": "well", "gated": "well"}
    hub = {name: {"hfModelId": f"acme/{name}", "source": None} for name in ("hub", "gated")}
    write_catalog(folder, models, **hub)
    for command in (("init", "-q", "-b", "main"), ("add", "-A")):
        run("git", *command, cwd=folder)
    run("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "-m", "all", cwd=folder)
    return folder


async def use_everything(house: House, client: httpx2.AsyncClient, bodies: list[bytes]) -> dict[str, str]:
    """Use each secret, rightly and wrongly; returns those that the house made itself."""

    async def ask(method: str, path: str, **more: Any) -> httpx2.Response:
        response = await client.request(method, path, **more)
        bodies.append(response.content + repr(response.headers.raw).encode())
        return response

    created = await client.post("/tokens", json={"name": "ci", "scope": "admin"})
    issued = created.json()["token"]  # shown in this one answer
    await house.active("demo")
    await house.ended(await house.activate("broken"))
    await install(client, "hub")
    gated = await client.post("/weights/install", json={"id": "gated"})
    job = gated.json()["job"]["id"]
    await house.parts.jobs.wait(job, 20)
    target = house.parts.targets.get("active-llm")
    assert (await house.chat())[0] == 200
    for header in (f"Bearer {PLANTED['wrong token']}", f"Bearer {issued}", PLANTED["wrong token"]):
        await ask("GET", "/slots", headers={"authorization": header})
    await ask("GET", f"/models?token={PLANTED['token in a query']}")
    await ask("GET", f"/nowhere?token={PLANTED['token in a query']}")
    await ask("POST", "/catalog/webhook", content=b"{}", headers={"x-gitlab-event": "Push Hook",
              "x-gitlab-token": PLANTED["webhook secret"]})  # fmt: skip
    await ask("POST", "/catalog/webhook", content=b"{}", headers={"x-gitlab-event": "Push Hook",
              "x-gitlab-token": PLANTED["wrong token"]})  # fmt: skip
    for path in (*READ, f"/jobs/{job}", f"/jobs/{job}/logs"):
        await ask("GET", path)
    assert target is not None and target.key
    return {"issued token": issued, "engine key": target.key}


async def test_u6_no_secret_comes_out_anywhere(tmp_path: Path) -> None:
    served = git_catalog(tmp_path / "served" / "catalog").parent
    git, bodies, watcher = GitServer(served, "ann", PLANTED["git token"]), [], Processes()
    with FakeHub(tokens=(PLANTED["hub token"],)) as hub, logged() as log, watcher.watched() as processes:
        hub.commit("acme/hub", {"model.bin": b"weights"})
        hub.repos["acme/hub"].private = True  # so that its token is needed
        hub.commit("acme/gated", {"model.bin": b"weights"})
        hub.repos["acme/gated"].gated = True
        async with open_house(settings(tmp_path, hub, git)) as house:
            headers = {"authorization": f"Bearer {house.service.token}"}
            url = house.service.url
            async with httpx2.AsyncClient(
                base_url=url, headers=headers, trust_env=False, timeout=60
            ) as client:
                made = await use_everything(house, client, bodies)
    git.close()
    assert any(authorised for _, authorised in git.requests)
    assert any(PLANTED["hub token"] in request.headers.get("authorization", "") for request in hub.requests)
    secrets = {**PLANTED, **made}
    places = {
        "the log": log.getvalue().encode(),
        "answers": b"\n".join(bodies),
        "arguments of processes": b"\n".join(processes.arguments),
        **{
            f"the environment of {command!r}": b"\n".join(environments)
            for command, environments in processes.environments.items()
        },
        **{
            f"the file {path.relative_to(tmp_path)}": path.read_bytes() for path in _files(tmp_path / "state")
        },
    }
    found = {
        (name, place)
        for place, content in places.items()
        for name, secret in secrets.items()
        if secret.encode() in content
    }
    engines = {place for name, place in found if name == "engine key"}
    assert engines and all("environment" in place and "model_server.py" in place for place in engines)
    assert {(name, place) for name, place in found if name != "engine key"} == set()
    levels = {json.loads(line)["level"] for line in log.getvalue().splitlines()}
    assert levels >= {"debug", "info", "warning"}


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


async def test_u6_credentials_in_the_git_url_are_refused_and_not_repeated(tmp_path: Path) -> None:
    url = f"https://ann:{PLANTED['git token']}@git.example.com/catalog.git"
    with pytest.raises(SettingsError) as caught:
        async with open_house(house_settings(tmp_path, catalog_url=url)):
            pass
    assert PLANTED["git token"] not in f"{caught.value.sentence} {caught.value.hint}"
