"""The packaged llama.cpp runtime on the local platform: from a manifest to an answer."""

import os
import shutil
from pathlib import Path

from model_manager.relay import Relay
from model_manager.serving.runtimes import load_runtimes
from tests.serving import ground
from tests.serving.ground import SLOT, local_platform

DEMO = Path(__file__).parents[2] / "examples/catalog/weights/demo/demo.gguf"


async def test_the_demo_model_answers_under_its_own_name(tmp_path: Path) -> None:
    folder = tmp_path / "weights/scripted-model"
    folder.mkdir(parents=True)
    shutil.copyfile(DEMO, folder / "demo.gguf")
    manifest = ground.manifest("llama-cpp")
    manifest["spec"]["predictor"]["model"]["args"] = ["--alias", "org/demo", "--ctx-size", "512"]
    environment = {"PATH": os.environ["PATH"]}
    relay = Relay()
    async with local_platform(tmp_path, load_runtimes(), environment=environment) as platform:
        await platform.check(manifest)
        await platform.apply(manifest)
        instance = await ground.ready(platform)
        status, models = await relay.json("GET", f"{instance.url}/v1/models", key=instance.key)
        assert (status, [model["id"] for model in models["data"]]) == (200, ["org/demo"])
        question = {"model": "org/demo", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
        status, answer = await relay.json(
            "POST", f"{instance.url}/v1/chat/completions", key=instance.key, payload=question
        )
        assert (status, answer["usage"]["completion_tokens"]) == (200, 1)
        assert any("n_ctx_slot = 512" in line for line in await platform.logs(SLOT, 100))
        await platform.delete(SLOT)
        await ground.empty(platform)
    await relay.aclose()


async def test_weights_it_cannot_load_are_told_by_the_log(tmp_path: Path) -> None:
    folder = tmp_path / "weights/scripted-model"
    folder.mkdir(parents=True)
    (folder / "demo.gguf").write_bytes(DEMO.read_bytes()[:400_000])
    manifest = ground.manifest("llama-cpp")
    manifest["spec"]["predictor"]["model"]["args"] = ["--alias", "demo"]
    async with local_platform(tmp_path, load_runtimes()) as platform:
        await platform.apply(manifest)
        instance = await ground.instance_when(platform, lambda one: one.gave_up)
        assert instance.exit_code == 1
        assert any("not within the file bounds" in line for line in instance.log_tail)
