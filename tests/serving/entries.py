"""Catalog entries and contexts that the pure serving tests share."""

from pathlib import Path
from typing import Any

import msgspec

from model_manager.catalog.entry import Entry
from model_manager.serving.manifest import RenderContext
from model_manager.serving.runtimes import load_runtimes

RUNTIMES = load_runtimes()
EXAMPLES = Path(__file__).parents[2] / "examples" / "catalog" / "models"


def entry(**fields: Any) -> Entry:
    """An entry from its JSON field names, as a catalog file gives them."""
    return msgspec.convert({"id": "m", **fields}, Entry)


def context(**changes: Any) -> RenderContext:
    given = {
        "slot": "active-llm", "namespace": "ai", "activation": "a1", "revision": "0f3c2d1", "entry_hash": "sha256:ab",
        "weights_folder": "m", "pvc_name": "weights", "default_runtime": "llama-cpp", "runtimes": RUNTIMES,
    }  # fmt: skip
    return RenderContext(**{**given, **changes})


ORIGINAL = {
    "qwen2.5-1.5b-instruct": {
        "id": "qwen2.5-1.5b-instruct",
        "displayName": "Qwen2.5 1.5B Instruct",
        "hfModelId": "Qwen/Qwen2.5-1.5B-Instruct",
        "servedModelName": "Qwen/Qwen2.5-1.5B-Instruct",
        "storageUri": "pvc://venus-model-storage/qwen2.5-1.5b",
        "runtime": "vllm-runtime",
        "nodeSelector": {"kubernetes.io/hostname": "venus"},
        "tolerations": [{"key": "amd.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
        "resources": {
            "requests": {"cpu": "4", "memory": "12Gi", "amd.com/gpu": "1"},
            "limits": {"cpu": "8", "memory": "24Gi", "amd.com/gpu": "1"},
        },
        "env": [
            {"name": "HF_HOME", "value": "/mnt/models/.hf-cache"},
            {"name": "MODEL_ID", "value": "Qwen/Qwen2.5-1.5B-Instruct"},
            {"name": "HSA_OVERRIDE_GFX_VERSION", "value": "11.0.0"},
            {
                "name": "HUGGING_FACE_HUB_TOKEN",
                "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token"}},
            },
        ],
        "storage": {"persistentVolumeClaim": {"claimName": "venus-model-storage", "subPath": "qwen"}},
        "volumes": [
            {"name": "models", "persistentVolumeClaim": {"claimName": "venus-model-storage"}},
            {"name": "shm", "emptyDir": {"medium": "Memory"}},
        ],
        "volumeMounts": [
            {"name": "models", "mountPath": "/mnt/models"},
            {"name": "shm", "mountPath": "/dev/shm"},
        ],
        "vllm": {
            "tensorParallelSize": 1,
            "dtype": "float16",
            "gpuMemoryUtilization": 0.9,
            "maxModelLen": 8192,
            "trustRemoteCode": True,
            "extraArgs": ["--enforce-eager", "--swap-space", "8"],
        },
    },
    "gpt-oss-120b": {
        "id": "gpt-oss-120b",
        "displayName": "GPT-OSS 120B (Q4)",
        "hfModelId": "openai/gpt-oss-120b",
        "storageUri": "pvc://venus-model-storage",
        "runtime": "vllm-runtime",
        "vllm": {"tensorParallelSize": 1, "gpuMemoryUtilization": 0.95, "maxModelLen": 4096},
    },
    "tiny-gpt2-test": {
        "id": "tiny-gpt2-test",
        "displayName": "Tiny GPT-2 Test",
        "hfModelId": "sshleifer/tiny-gpt2",
        "servedModelName": "sshleifer/tiny-gpt2-test",
        "storageUri": None,
        "runtime": "vllm-runtime",
    },
}
"""Entries of the original catalog's kind, with what its history holds: a null URI, doubled mounts, removed flags."""

OURS = {
    "small-gguf": {
        "id": "small-gguf",
        "displayName": "A small GGUF model",
        "hfModelId": "owner/model-GGUF",
        "files": ["*Q4_K_M.gguf"],
        "contextLength": 4096,
        "args": ["--threads", "4"],
    },
    "embedder": {
        "id": "embedder",
        "hfModelId": "owner/embedder-GGUF",
        "task": "embed",
        "pooling": "mean",
        "contextLength": 512,
    },
    "on-the-hub": {
        "id": "on-the-hub",
        "hfModelId": "owner/model",
        "storageUri": "hf://owner/model:v1",
        "runtime": "vllm",
        "contextLength": 2048,
    },
}
