"""Files as they stood in the original catalog load unchanged; its mistakes get the right sentence."""

import json
from typing import Any

import pytest

from model_manager.catalog.entry import Entry
from model_manager.catalog.parse import parse

TOKEN = {
    "name": "HUGGING_FACE_HUB_TOKEN",
    "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "HUGGING_FACE_HUB_TOKEN"}},
}
GPU = {"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
NODE = {"kubernetes.io/hostname": "venus"}

FILES: dict[str, dict[str, Any]] = {
    "qwen2.5-0.5b-instruct": {
        "id": "qwen2.5-0.5b-instruct",
        "displayName": "Qwen2.5 0.5B Instruct",
        "hfModelId": "Qwen/Qwen2.5-0.5B-Instruct",
        "runtime": "qwen-vllm-runtime",
        "storageUri": None,
        "storage": {"persistentVolumeClaim": {"claimName": "venus-model-storage", "subPath": "qwen2.5-0.5b"}},
        "nodeSelector": NODE,
        "tolerations": [GPU],
        "env": [
            {"name": "HF_HOME", "value": "/mnt/models/.hf-cache"},
            {"name": "TRANSFORMERS_CACHE", "value": "/mnt/models/.hf-cache"},
            {"name": "MODEL_ID", "value": "Qwen/Qwen2.5-0.5B-Instruct"},
            {"name": "MODEL_DIR", "value": "/mnt/models"},
            TOKEN,
        ],
    },
    "gpt-oss-120b": {
        "id": "gpt-oss-120b",
        "displayName": "GPT-OSS 120B (Q4)",
        "hfModelId": "openai/gpt-oss-120b",
        "storageUri": "pvc://venus-model-storage/openai/gpt-oss-120b",
        "runtime": "vllm-runtime",
        "nodeSelector": NODE,
        "tolerations": [GPU],
        "resources": {
            "requests": {"cpu": "12", "memory": "24Gi", "amd.com/gpu": "1"},
            "limits": {"cpu": "16", "memory": "48Gi", "amd.com/gpu": "1"},
        },
        "env": [
            {"name": "MODEL_ID", "value": "/mnt/models/openai/gpt-oss-120b"},
            {"name": "HSA_OVERRIDE_GFX_VERSION", "value": "11.0.0"},
            {"name": "VLLM_MXFP4_USE_MARLIN", "value": "1"},
            {"name": "SKIP_GPTOSS_PATCH", "value": "1"},
        ],
        "volumes": [{"name": "models", "persistentVolumeClaim": {"claimName": "venus-model-storage"}}],
        "volumeMounts": [{"name": "models", "mountPath": "/mnt/models"}],
        "vllm": {
            "tensorParallelSize": 1,
            "dtype": "bfloat16",
            "gpuMemoryUtilization": 0.95,
            "maxModelLen": 2048,
            "trustRemoteCode": True,
            "extraArgs": ["--enforce-eager", "--swap-space", "16"],
        },
    },
    "qwen2.5-1.5b-instruct": {
        "id": "qwen2.5-1.5b-instruct",
        "displayName": "Qwen2.5 1.5B Instruct",
        "hfModelId": "Qwen/Qwen2.5-1.5B-Instruct",
        "servedModelName": "Qwen/Qwen2.5-1.5B-Instruct",
        "storageUri": "pvc://venus-model-storage/qwen2.5-1.5b",
        "runtime": "vllm-runtime",
        "vllm": {"tensorParallelSize": 1, "dtype": "float16", "gpuMemoryUtilization": 0.9, "maxModelLen": 4096},
    },
    "tiny-gpt2-test": {
        "id": "tiny-gpt2-test",
        "displayName": "Tiny GPT-2 Test",
        "hfModelId": "sshleifer/tiny-gpt2",
        "servedModelName": "sshleifer/tiny-gpt2-test",
        "storageUri": "pvc://venus-model-storage",
        "runtime": "vllm-runtime",
        "env": [{"name": "MODEL_ID", "value": "sshleifer/tiny-gpt2"}],
    },
    # known to the original's types, never seen in its data
    "paddleocr-vl": {
        "id": "paddleocr-vl",
        "hfModelId": "PaddlePaddle/PaddleOCR-VL",
        "storage": {"key": "k", "path": "p", "schemaPath": "s", "storageKey": "t"},
        "env": [
            {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "c", "key": "k", "optional": True}}},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}},
        ],
        "volumes": [
            {"name": "s", "secret": {"secretName": "s", "optional": True}},
            {"name": "c", "configMap": {"name": "c", "optional": True}},
        ],
        "tolerations": [{"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}],
    },
}  # fmt: skip


def load(value: dict[str, Any]) -> Entry:
    entry, problems = parse(json.dumps(value, indent=2).encode(), f"models/{value['id']}.json")
    assert problems == ()
    assert entry is not None
    return entry


@pytest.mark.parametrize("value", FILES.values(), ids=FILES.keys())
def test_it_loads_without_a_word(value: dict[str, Any]) -> None:
    assert load(value).id == value["id"]


def test_what_it_says_is_kept() -> None:
    entry = load(FILES["gpt-oss-120b"])
    assert entry.storage_uri == "pvc://venus-model-storage/openai/gpt-oss-120b"
    assert entry.resources and entry.resources.limits["amd.com/gpu"] == "1"
    assert entry.vllm and entry.vllm.extra_args == ("--enforce-eager", "--swap-space", "16")
    assert entry.volume_mounts == ({"name": "models", "mountPath": "/mnt/models"},)
    entry = load(FILES["qwen2.5-0.5b-instruct"])
    assert entry.storage_uri is None
    reference = entry.env[-1].value_from
    assert reference and reference.secret_key_ref and reference.secret_key_ref.name == "hf-token"


def test_the_names_that_an_entry_goes_by() -> None:
    assert load(FILES["tiny-gpt2-test"]).served_name == "sshleifer/tiny-gpt2-test"
    assert load(FILES["gpt-oss-120b"]).served_name == "openai/gpt-oss-120b"
    assert load(FILES["gpt-oss-120b"]).name == "GPT-OSS 120B (Q4)"


def test_the_mistaken_commits() -> None:
    broken = json.dumps(FILES["gpt-oss-120b"], indent=2).replace(
        '}\n  ],\n  "volumeMounts"', ']\n  ],\n  "volumeMounts"'
    )
    entry, problems = parse(broken.encode(), "models/gpt-oss-120b.json")
    assert entry is None
    assert "found ']'" in problems[0].message and "is still open here" in problems[0].hint

    vllm = {**FILES["qwen2.5-1.5b-instruct"]["vllm"], "served-model-name": "x"}
    entry, problems = parse(
        json.dumps({**FILES["qwen2.5-1.5b-instruct"], "vllm": vllm}).encode(),
        "models/qwen2.5-1.5b-instruct.json",
    )
    assert entry is not None
    assert [problem.severity for problem in problems] == ["warning"]
