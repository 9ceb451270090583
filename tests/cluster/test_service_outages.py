"""The API server goes away and comes back, and the node does: what serves serves on, what was begun is finished."""

from pathlib import Path

import pytest
from testcluster import Cluster, Namespace

from model_manager import commands
from tests.cluster.ground import SLOT, activation_of, is_ready, pod_when
from tests.cluster.house import house, prepare, uids


@pytest.fixture
async def ground(namespace: Namespace, tmp_path: Path) -> Path:
    await prepare(namespace, tmp_path, {"good": "well", "other": "well"})
    return tmp_path


@pytest.mark.parametrize("failure", ["slow-termination:2", "slow-start:2"], ids=["stopping", "starting"])
async def test_the_api_server_is_restarted_in_the_middle_of_an_activation(
    cluster: Cluster, namespace: Namespace, ground: Path, failure: str
) -> None:
    async with house(namespace, ground) as h:
        await h.active("good")
        namespace.fail(failure)
        activation = await h.activate("other")

        async def under_way() -> bool:
            phase = (await commands.get_activation(h.parts, activation.id)).phase
            pods = await namespace.pods()
            leaving = any("deletionTimestamp" in pod["metadata"] for pod in pods)
            return leaving if failure.startswith("slow-term") else phase == "starting" and bool(pods)

        await namespace.wait(under_way)
        before = await uids(namespace, activation.id)
        await cluster.restart_apiserver()
        assert (await h.ended(activation, 60)).result == "active"
        assert (await h.chat())[1]["model"] == "other"
        after = await uids(namespace)
        assert len(after) == 1
        assert before in ([], after)


async def test_what_is_asked_for_while_the_api_server_is_away_is_done_when_it_is_back(
    cluster: Cluster, namespace: Namespace, ground: Path
) -> None:
    async with house(
        namespace, ground, activation_timeout=120.0
    ) as h:  # controllers reconnect ever more rarely
        await h.active("good")
        cluster.control.apiserver.kill()
        try:
            activation = await h.activate("other")
            assert (await h.chat())[1]["model"] == "good", "the model that serves needs no API server"
        finally:
            cluster.control.apiserver.start()
            await cluster.ready()
        found = await h.ended(activation, 150)
        assert found.result == "active", found.reason
        assert (await h.chat())[1]["model"] == "other"


async def test_a_lost_node_is_named_and_the_model_serves_again_when_it_is_back(
    cluster: Cluster, namespace: Namespace, ground: Path
) -> None:
    async with house(namespace, ground, switch_wait=0.0) as h:
        await h.active("good")
        before = await uids(namespace)
        cluster.nodes.lose("gpu-1")
        try:

            async def named() -> bool:
                trouble = (await h.parts.platform.observe(SLOT)).trouble
                return trouble is not None and trouble.code == "node_lost"

            await namespace.wait(named)
        finally:
            cluster.nodes.bring_back("gpu-1")
        await pod_when(namespace, lambda pod: activation_of(pod) != "" and is_ready(pod))
        await h.serves("good")
        assert await uids(namespace) == before
