"""The chart as it is rendered: token from its Secret, catalog from Git, weights on the claim, a chat, upgrades."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from testcluster import Cluster, Namespace
from testcluster.api import Object, Refused

from tests.catalog.conftest import Repo
from tests.chart.rendering import render
from tests.cluster.ground import LABEL, SLOT, is_ready

CATALOG = Path(__file__).parents[2] / "examples" / "catalog"
TOKEN = "of-a-test"
IMAGE, NEXT = "ghcr.io/model-manager/model-manager", "test.invalid/model-manager-next"
MANAGER = {"app.kubernetes.io/component": "manager"}


class Release:
    """One release of the chart in a namespace, and who asks it things."""

    def __init__(self, namespace: Namespace, mode: str) -> None:
        self.namespace, self.mode = namespace, mode
        self.host = f"{namespace.name}.example.com"

    @property
    def repository(self) -> Path:
        return self.namespace.cluster.nodes.hub / self.host / "catalog.git"

    def values(self, image: str = IMAGE, tag: str = "1") -> dict[str, Any]:
        return {
            "mode": self.mode,
            "image": {"repository": image, "tag": tag},
            "gitSync": {"repo": f"https://{self.host}/catalog.git", "waitSeconds": 1},
            "state": {"create": False},
            "runtimes": {"default": "llama-cpp", "llamaCpp": {"image": f"{IMAGE}:1"}},
        }

    async def install(self, **image: str) -> None:
        """As `helm upgrade --install` does: all objects, in Helm's order, whatever is there already."""
        for one in render(self.values(**image), namespace=self.namespace.name):
            if "helm.sh/hook" not in one["metadata"].get("annotations", {}):
                await self.namespace.api.apply(one)

    async def pods(self, image: str = "") -> list[Object]:
        """The manager's, those of an image or all."""
        found = [
            one for one in await self.namespace.pods() if MANAGER.items() <= one["metadata"]["labels"].items()
        ]
        return [one for one in found if _manager(one)["image"].startswith(image)]

    async def ready(self, image: str = "", beside: tuple[str, ...] = ()) -> Object:
        """A ready pod, other than those of the names `beside`."""

        async def look() -> Object | None:
            found = [one for one in await self.pods(image) if is_ready(one)]
            return next((one for one in found if one["metadata"]["name"] not in beside), None)

        return dict(await self.namespace.wait(look))

    async def log(self, pod: Object, **query: str) -> str:
        return await self.namespace.api.log(
            pod["metadata"]["name"], self.namespace.name, container="manager", **query
        )

    async def ask(self, method: str, path: str, body: Any = None, within: float = 20.0) -> Any:
        """A client of the stable Service: one of the ready pods, and again after a 503, as clients do."""
        deadline = time.monotonic() + within
        while True:
            assert time.monotonic() < deadline, f"no answer to {method} {path} within {within} s"
            for pod in await self.pods():
                if is_ready(pod) and (answer := await self._once(pod, method, path, body)) is not None:
                    assert answer.status_code < 300, answer.text
                    return answer.json()
            await asyncio.sleep(0.1)

    async def _once(self, pod: Object, method: str, path: str, body: Any) -> httpx2.Response | None:
        async with httpx2.AsyncClient(timeout=60, trust_env=False) as http:
            try:
                answer = await http.request(
                    method, f"http://{pod['status']['podIP']}:8080{path}", json=body,
                    headers={"Authorization": f"Bearer {TOKEN}"},
                )  # fmt: skip
            except httpx2.ConnectError:  # it just ended
                return None
            except httpx2.TransportError as lost:
                lost.add_note(f"asked {pod['metadata']['name']} at {time.time()}")
                raise
        return None if answer.status_code == 503 else answer

    async def chat(self) -> str:
        ask = {"model": SLOT, "messages": [{"role": "user", "content": "hello"}], "max_tokens": 30}
        answer = await self.ask("POST", "/v1/chat/completions", ask | {"temperature": 0})
        return str(answer["choices"][0]["message"]["content"])

    async def model_pods(self) -> dict[str, int]:
        """UIDs of the model's pods, and how often each was restarted."""
        return {
            one["metadata"]["uid"]: sum(
                status["restartCount"] for status in one["status"]["containerStatuses"]
            )
            for one in await self.namespace.pods()
            if LABEL in one["metadata"]["labels"]
        }

    @asynccontextmanager
    async def asked_all_the_time(self) -> AsyncIterator[list[str]]:
        """Somebody chats on, and each question is answered, or the test fails."""
        answers: list[str] = []

        async def go_on() -> None:
            while True:
                answers.append(await self.chat())

        task = asyncio.create_task(go_on())
        try:
            yield answers
            count = len(answers)
            await self.namespace.wait(lambda: _more(task, answers, count))
        finally:
            task.cancel()
            done = (await asyncio.gather(task, return_exceptions=True))[0]
        assert isinstance(done, asyncio.CancelledError), (done, getattr(done, "__notes__", ()))

    async def end(self, image: str) -> None:
        """End what runs of an image, as Knative's autoscaler does with a revision that has no traffic any more."""
        for one in await self.namespace.api.list("deployments", self.namespace.name):
            template = one["spec"]["template"]
            ours = MANAGER.items() <= template["metadata"]["labels"].items()
            if ours and _manager(template)["image"] == image:
                await self.namespace.api.patch(
                    "deployments", one["metadata"]["name"], {"spec": {"replicas": 0}}, self.namespace.name
                )
        await self.namespace.wait(lambda: self._gone(image))

    async def _gone(self, image: str) -> bool:
        return not await self.pods(image)


def _manager(pod: Object) -> Object:
    return next(one for one in pod["spec"]["containers"] if one["name"] == "manager")


async def _more(task: "asyncio.Task[None]", answers: list[str], count: int) -> bool:
    return task.done() or len(answers) > count + 1


@asynccontextmanager
async def released(namespace: Namespace, mode: str) -> AsyncIterator[Release]:
    """Installed, with a catalog in Git, claims, and the token in its Secret."""
    release = Release(namespace, mode)
    origin = Repo(release.repository)
    shutil.copytree(CATALOG, origin.path, dirs_exist_ok=True)
    origin.commit()
    await namespace.claim("model-weights")
    await namespace.claim("model-manager-state")
    await release.install()
    yield release
    shutil.rmtree(release.repository)


async def give_token(namespace: Namespace) -> None:
    meta = {"name": "model-manager-api-token"}
    await namespace.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"token": TOKEN}}
    )


async def test_without_its_token_it_names_the_secret_and_with_it_it_starts(namespace: Namespace) -> None:
    async with released(namespace, "deployment") as release:

        async def said() -> str:
            for pod in await release.pods():
                try:
                    text = await release.log(pod)
                except Refused:  # it was not started yet
                    continue
                if "The API token file" in text:
                    return text
            return ""

        assert "api-token/token cannot be read" in await namespace.wait(said)
        (pod,) = await release.pods()
        named = {one["name"]: one.get("value") for one in _manager(pod)["env"]}[
            "MODEL_MANAGER_API_TOKEN_FILE"
        ]
        assert named == "/etc/model-manager/model-manager-api-token/token", (
            "the path that is said, in a real pod"
        )
        await give_token(namespace)
        await release.ready()


@pytest.mark.timeout(400)
async def test_the_whole_way_in_knative_mode(cluster: Cluster, namespace: Namespace) -> None:
    """Knative's autoscaler and ingress are missing here: traffic goes to whoever is ready, and the test ends old
    revisions, as the autoscaler ends what has no traffic."""
    await cluster.start_knative()
    await give_token(namespace)
    async with released(namespace, "knative") as release:
        first = await release.ready()

        # The catalog through the link, weights on the claim, a chat.
        await namespace.wait(lambda: _has_models(release, "demo"))
        await release.ask("POST", "/models/activate?wait=60", {"id": "demo"}, within=60)
        assert "demo model" in await release.chat()
        assert (cluster.nodes.volumes / namespace.name / "model-weights" / "demo").is_dir()
        model = await release.model_pods()
        assert list(model.values()) == [0]

        # A push is seen through git-sync.
        pushed = Repo.__new__(Repo)
        pushed.path = release.repository
        pushed.put("pushed", **_demo_with_secrets())
        pushed.commit()
        await namespace.wait(lambda: _has_models(release, "pushed"))

        # The next revision takes over while the model serves and somebody asks it things.
        async with release.asked_all_the_time() as answers:
            await release.install(tag="2")
            await release.ready(f"{IMAGE}:2")
            await release.end(f"{IMAGE}:1")
        assert all("demo model" in answer for answer in answers)
        assert await release.model_pods() == model
        assert first["metadata"]["name"] not in [one["metadata"]["name"] for one in await release.pods()]

        # One with a newer schema, and back again.
        async with release.asked_all_the_time():
            await release.install(image=NEXT, tag="3")
            await release.ready(NEXT)
            await release.end(f"{IMAGE}:2")
            await namespace.wait(lambda: _migrated(namespace))
            await release.install(tag="4")
            old = await namespace.wait(lambda: _only(release, f"{IMAGE}:4"))
            refused = await namespace.wait(lambda: _says(release, old, "written by a newer version"))
            assert "rename state.v" in refused
        assert await release.model_pods() == model, "the newer one went on"
        await release.end(f"{NEXT}:3")
        _go_back(cluster.nodes.volumes / namespace.name / "model-manager-state")
        await release.ready(f"{IMAGE}:4")
        assert "demo model" in await release.chat()
        assert await release.model_pods() == model

        await _do_the_rest(release)
        used = _used(cluster, namespace)
        assert used - granted(release) == set(), "it asks for nothing that the chart does not grant"
        assert granted(release) - used == TOLD_AS_PATCH, "the chart grants nothing that it does not need"


async def _has_models(release: Release, model: str) -> bool:
    return model in str(await release.ask("GET", "/models"))


async def _only(release: Release, image: str) -> Object | None:
    return next(iter(await release.pods(image)), None)


async def _says(release: Release, pod: Object, words: str) -> str:
    for previous in ("true", "false"):
        try:
            text = await release.log(pod, previous=previous)
        except Refused:  # it did not run before
            continue
        if words in text:
            return text
    return ""


async def _migrated(namespace: Namespace) -> bool:
    return any((namespace.cluster.nodes.volumes / namespace.name / "model-manager-state").glob("state.v*.db"))


def _go_back(folder: Path) -> None:
    """As docs/operations.md says: the state file aside, the copy in its place."""
    (copy,) = folder.glob("state.v*.db")
    for name in ("state.db", "state.db-wal", "state.db-shm"):
        if (folder / name).exists():
            (folder / name).rename(folder / f"aside-{name}")
    copy.rename(folder / "state.db")


def _demo_with_secrets() -> dict[str, Any]:
    """The demo under another name, which needs a Secret and a ConfigMap."""
    entry = json.loads((CATALOG / "models" / "demo.json").read_text())
    env = [
        {"name": "ONE", "valueFrom": {"secretKeyRef": {"name": "of-a-model", "key": "one"}}},
        {"name": "TWO", "valueFrom": {"configMapKeyRef": {"name": "of-a-model", "key": "two"}}},
    ]
    return entry | {"id": "pushed", "env": env}


async def _do_the_rest(release: Release) -> None:
    """What has not been done so far and needs a right."""
    kind = {"apiVersion": "v1", "metadata": {"name": "of-a-model"}}
    await release.namespace.apply({**kind, "kind": "Secret", "stringData": {"one": "1"}})
    await release.namespace.apply({**kind, "kind": "ConfigMap", "data": {"two": "2"}})
    await release.ask("POST", "/models/activate?wait=60", {"id": "pushed"}, within=60)
    await release.ask("GET", f"/slots/{SLOT}/logs")
    await release.ask("GET", f"/slots/{SLOT}/why")
    await release.ask("GET", "/system/doctor")
    await release.ask("DELETE", f"/slots/{SLOT}")
    await release.namespace.wait(lambda: _empty(release.namespace))


async def _empty(namespace: Namespace) -> bool:
    return await namespace.isvc(SLOT) is None


Rights = set[tuple[str, str, str]]
"""API group, resource (with its subresource), verb."""


TOLD_AS_PATCH: Rights = {("serving.kserve.io", "inferenceservices", "create")}
"""Server-side apply needs it for what is not there yet, and the audit log tells of the patch alone."""


def granted(release: Release) -> Rights:
    roles = [one for one in render(release.values()) if one["kind"] in ("Role", "ClusterRole")]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _used(cluster: Cluster, namespace: Namespace) -> Rights:
    """From the API server's audit log, but for the questions about itself that everybody may ask."""
    asked = cluster.audit(f"system:serviceaccount:{namespace.name}:model-manager")
    about = [(entry["objectRef"], entry["verb"]) for entry in asked if "objectRef" in entry]
    return {
        (of.get("apiGroup", ""), "/".join(filter(None, (of["resource"], of.get("subresource")))), verb)
        for of, verb in about
        if of.get("apiGroup") not in ("authorization.k8s.io", "authentication.k8s.io")
    }
