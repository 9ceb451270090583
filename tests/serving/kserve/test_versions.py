"""Which KServe it is, by what each version's admission does with an InferenceService (by KServe's sources)."""

import asyncio
import json
from typing import Any

import pytest

from model_manager.errors import Forbidden, Unavailable, Unprocessable
from model_manager.serving.kserve import versions
from model_manager.serving.kserve.kinds import Kind
from model_manager.serving.platform import ClusterInfo
from tests.serving.kserve.conftest import Connect
from tests.serving.kserve.fake_api import FakeApi

MODE = "serving.kserve.io/deploymentMode"


class Admission:
    """What is asked of an `Api`, answered as a KServe of that minor version would; `settings`: its ConfigMap."""

    namespace = "models"

    def __init__(self, minor: int, default: str = "Standard", settings: dict[str, Any] | None = None) -> None:
        self.minor, self.default, self.settings = minor, default, settings

    async def version(self) -> dict[str, Any]:
        return {"gitVersion": "v1.34.4"}

    async def get(self, kind: Kind, name: str, namespace: str) -> dict[str, Any]:
        assert (kind.plural, name, namespace) == ("configmaps", "inferenceservice-config", "kserve")
        if self.settings is None:
            raise Forbidden("This service may not get configmaps in the namespace kserve.")
        return {"data": {"storageInitializer": json.dumps(self.settings)}}

    async def apply(self, kind: Kind, item: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
        assert dry_run, "nothing is ever made"
        known = {"model"} | ({"storageContainerName"} if self.minor >= 20 else set())
        if unknown := set(item["spec"]["predictor"]) - known:
            raise Unprocessable(f"{unknown} is not declared in schema.")
        notes = item["metadata"]["annotations"]
        old = {"Standard": "RawDeployment", "Knative": "Serverless"}
        today = {was: now for now, was in old.items()}
        if not notes and self.default == "Standard":
            notes[MODE] = self.default
        if MODE in notes:
            notes[MODE] = today.get(notes[MODE], notes[MODE])
            notes[MODE] = old[notes[MODE]] if self.minor <= 15 else notes[MODE]
        return item


async def look(admission: Any) -> ClusterInfo:
    return await versions.look(admission)


@pytest.mark.parametrize(
    ("minor", "said"),
    [(15, "0.15 or older"), (16, "0.16 to 0.19"), (19, "0.16 to 0.19"), (20, "0.20 or newer")],
)
@pytest.mark.parametrize("mode", ["Standard", "Knative"])
async def test_version_and_mode_by_admission(minor: int, said: str, mode: str) -> None:
    assert await look(Admission(minor, mode)) == ClusterInfo("v1.34.4", said, mode)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("kserve/storage-initializer:v0.18.0", "0.18.0"),
        ("registry.example:5000/kserve/storage-initializer:v0.17.1-rc2", "0.17.1"),
        ("registry.example:5000/storage-initializer", "0.16 to 0.19"),
        ("storage-initializer@sha256:0000", "0.16 to 0.19"),
        ("storage-initializer:latest", "0.16 to 0.19"),
    ],
)
async def test_the_exact_version_where_kserves_settings_may_be_read(image: str, said: str) -> None:
    assert (await look(Admission(18, settings={"image": image}))).kserve == said


async def test_where_fields_are_not_checked_no_upper_end_is_claimed() -> None:
    class Lax(Admission):
        async def apply(self, kind: Kind, item: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
            item["spec"]["predictor"] = {"model": {}}
            return await super().apply(kind, item, dry_run=dry_run)

    assert (await look(Lax(16))).kserve == "0.16 or newer"


async def test_what_cannot_be_asked_is_said() -> None:
    class Away(Admission):
        async def apply(self, kind: Kind, item: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
            raise Unavailable("A webhook of the cluster does not answer.")

    assert await look(Away(20)) == ClusterInfo("v1.34.4", trouble="A webhook of the cluster does not answer.")


def probes(api: FakeApi) -> int:
    return api.count("patch", "inferenceservices")


async def test_it_is_asked_once_in_a_while_and_soon_again_after_trouble(
    api: FakeApi, connect: Connect
) -> None:
    now = [0.0]
    platform = connect(clock=lambda: now[0])
    api.fail(403, "Forbidden", "not now", match=lambda asked: asked.verb == "patch")
    first = await platform.cluster()
    assert first is not None
    assert first.trouble == "This service may not patch inferenceservices.serving.kserve.io."
    assert (await platform.cluster(), probes(api)) == (first, 1)
    now[0] += 11
    second = await platform.cluster()
    assert second is not None
    assert (second.kubernetes, second.trouble) == ("v1.34.4", "")
    asked = probes(api)
    now[0] += 299
    assert (await platform.cluster(), probes(api)) == (second, asked)
    now[0] += 2
    await platform.cluster()
    assert probes(api) > asked


async def test_who_asks_at_once_shares_one_look_and_one_who_leaves_does_not_end_it(
    api: FakeApi, connect: Connect
) -> None:
    api.fail(403, "Forbidden", "not now", match=lambda asked: asked.verb == "patch", times=100)
    platform = connect()
    asking = [asyncio.create_task(platform.cluster()) for _ in range(5)]
    await asyncio.sleep(0)
    asking[0].cancel()
    answers = await asyncio.gather(*asking[1:])
    assert [answer and answer.trouble for answer in answers] == [
        "This service may not patch inferenceservices.serving.kserve.io."
    ] * 4
    assert probes(api) == 1
