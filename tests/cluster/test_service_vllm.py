"""vLLM's runtime through the service, with a scripted `vllm serve` in the place of vLLM: it takes vLLM's arguments."""

from pathlib import Path
from typing import Any

import yaml
from testcluster import Namespace

from tests.cluster.ground import ROOT
from tests.cluster.house import house, prepare, with_gpu

RUNTIME = ROOT / "src" / "model_manager" / "serving" / "runtimes" / "vllm.yaml"
VLLM = {"dtype": "bfloat16", "maxModelLen": 4096, "gpuMemoryUtilization": 0.85, "tensorParallelSize": 1}
ENTRIES: dict[str, dict[str, Any]] = {
    "tiny": {"servedModelName": "org/Tiny", "vllm": VLLM | {"extraArgs": ["--max-num-seqs", "16"]}},
    "unknown-flag": {"vllm": VLLM | {"extraArgs": ["--no-such-flag"]}},
    "no-config": {"vllm": VLLM},
}
FAILS = {"unknown-flag": ("arguments", "--no-such-flag"), "no-config": ("wrong_weights", "config.json")}


async def test_a_model_of_vllm_is_served_with_its_arguments_and_its_failures_are_read_from_its_log(
    namespace: Namespace, tmp_path: Path
) -> None:
    await prepare(namespace, tmp_path, dict.fromkeys(ENTRIES, "vllm"), **ENTRIES)
    for name in ENTRIES:
        if name != "no-config":
            (tmp_path / "catalog" / "weights" / name / "config.json").write_text("{}")
    await namespace.apply(with_gpu(yaml.safe_load(RUNTIME.read_text())))
    async with house(namespace, tmp_path) as h:
        await h.active("tiny")
        assert (await h.chat())[1]["model"] == "org/Tiny"
        (pod,) = await namespace.pods()
        container = next(one for one in pod["spec"]["containers"] if one["name"] == "kserve-container")
        words = " ".join(container["args"])
        for flag in (
            "/mnt/models", "--dtype bfloat16", "--max-model-len 4096", "--gpu-memory-utilization 0.85",
            "--max-num-seqs 16", "--served-model-name org/Tiny",
        ):  # fmt: skip
            assert flag in words
        for model, (code, said) in FAILS.items():
            failed = await h.ended(await h.activate(model), 60)
            assert (failed.code, said in failed.reason) == (code, True), failed.reason
            await h.serves("tiny", timeout=40)
