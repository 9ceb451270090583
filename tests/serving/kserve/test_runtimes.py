"""The runtimes of a cluster as they are now: found, told apart, changed and gone."""

import copy

from model_manager.serving.runtime import ENGINE_ANNOTATION, engine_of
from tests.serving import ground
from tests.serving.ground import RUNTIMES, SLOT, manifest
from tests.serving.kserve.conftest import Connect
from tests.serving.kserve.fake_api import FakeApi
from tests.serving.kserve.fake_kserve import FakeKServe
from tests.serving.kserve.fake_store import Object
from tests.waiting import until


def speaking(engine: str) -> Object:
    made = copy.deepcopy(RUNTIMES["well"])
    made["metadata"] = {"annotations": {ENGINE_ANNOTATION: engine}}
    return made


async def test_a_runtime_that_only_the_cluster_knows_says_whose_command_line_it_speaks(
    api: FakeApi, connect: Connect
) -> None:
    runtimes = connect(packaged={"shipped": speaking("vllm")}).runtimes
    api.store.put(("clusterservingruntimes", "", "of-all"), speaking("llama-cpp"))
    await until(lambda: "of-all" in runtimes and "well" in runtimes)
    assert engine_of("of-all", runtimes.get("of-all")) == "llama-cpp"
    api.store.put(("servingruntimes", "default", "of-all"), speaking("vllm"))
    await until(lambda: engine_of("of-all", runtimes.get("of-all")) == "vllm")  # the namespace's goes first
    assert engine_of("shipped", runtimes.get("shipped")) == "vllm"
    assert set(runtimes) == {*RUNTIMES, "of-all", "shipped"}
    assert len(runtimes) == len(set(runtimes))


async def test_a14_runtimes_that_may_not_be_seen_are_those_of_the_package(
    api: FakeApi, connect: Connect
) -> None:
    api.forbid("list", "servingruntimes")
    api.forbid("list", "clusterservingruntimes")
    platform = connect(packaged={"shipped": speaking("vllm")})
    await until(lambda: platform.problems())
    (problem,) = platform.problems()
    assert problem.startswith("This service may not list servingruntimes.serving.kserve.io")
    assert set(platform.runtimes) == {"shipped"}
    await platform.apply(manifest())
    assert (await ground.ready(platform)).ready
    assert (await platform.observe(SLOT)).trouble is None, "what may not be seen is not gone"


async def test_g9_a_runtime_that_goes_while_it_serves_is_noticed_and_nothing_is_stopped(
    api: FakeApi, kserve: FakeKServe, connect: Connect
) -> None:
    platform = connect()
    told: list[str] = []
    platform.on_change(told.append)
    await platform.apply(manifest())
    before = await ground.ready(platform)
    told.clear()
    api.store.delete(("servingruntimes", "default", "well"))
    seen = await ground.observed_when(platform, lambda seen: seen.trouble)
    assert seen.trouble is not None
    assert (seen.trouble.code, seen.trouble.final) == ("runtime_missing", False)
    assert seen.trouble.sentence == "The serving runtime well does not exist any more."
    assert seen.instances == (before,)
    assert told == [SLOT]
    kserve.add_runtime({**RUNTIMES["well"], "metadata": {"name": "well"}})
    await ground.observed_when(platform, lambda seen: seen.trouble is None)
