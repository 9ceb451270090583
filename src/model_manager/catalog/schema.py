"""The JSON Schema of a catalog file, generated from the types: `python -m model_manager.catalog.schema` prints it.

Editors complete and check entries by it. `catalog.schema.json` beside this file is its copy: a test holds them equal.
"""

import sys
from typing import Any

import msgspec

from model_manager.catalog.entry import Entry

FIELDS = {
    "id": "Its name in this catalog, and its file's: at most 63 lower-case letters, digits, `.`, `_`, `-`.",
    "displayName": "What people read instead of the id.",
    "hfModelId": "Where the weights come from: owner/name on the Hugging Face Hub.",
    "servedModelName": "The name applications call it by at /v1. Without it: hfModelId, else id.",
    "storageUri": "Where a cluster takes the weights from: pvc://claim/path, hf://owner/name, s3://bucket/path, …",
    "runtime": "The ServingRuntime that serves it, such as llama-cpp or vllm.",
    "nodeSelector": "Labels that a node must have (clusters only).",
    "tolerations": "Taints of nodes that it may run on in spite of (clusters only).",
    "resources": "Requests and limits of CPU, memory and GPUs, as Kubernetes quantities.",
    "env": "Environment variables of the model server: a value, or a key of a Secret or ConfigMap.",
    "storage": "KServe's storage object, passed on as it is.",
    "volumes": "Kubernetes volumes of the pod, passed on as they are.",
    "volumeMounts": "Where the volumes are mounted, passed on as they are.",
    "vllm": "Settings of vLLM.",
    "description": "One or two sentences on what the model is good for.",
    "license": "The license of the weights, as an SPDX name where there is one.",
    "tags": "Words to find it by.",
    "aliases": "Further names for it. An alias that two entries claim leads to neither.",
    "hfRevision": "The commit, branch or tag on the Hub. Without it: the newest commit when it is installed.",
    "files": "Which files of the Hub's repository to install, as patterns. Without it: all that are needed.",
    "args": "Further arguments of the model server, one word each.",
    "contextLength": "Tokens of context that the server is started with.",
    "parameters": "Default sampling parameters, such as temperature.",
    "task": "What it does: chat, or embed (turn text into vectors).",
    "pooling": "How an embedding model sums up its tokens.",
    "source": "Weights that are not on the Hub: a file:, https: or hf:// URI, and the files under it.",
}  # fmt: skip
"""What each field of an entry is for: shown by editors, and held against the types by a test."""


def schema() -> dict[str, Any]:
    """The schema of one catalog file, JSON Schema 2020-12."""
    generated = msgspec.json.schema(Entry)
    definitions = generated["$defs"]
    entry = definitions.pop("Entry")
    properties = {"$schema": {"type": "string", "description": "This schema, for editors."}}
    for name, about in entry["properties"].items():
        properties[name] = {"description": FIELDS[name], **about}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **entry,
        "title": "Model Manager catalog entry",
        "description": "One model of a catalog: a file models/<id>.json.",
        "properties": properties,
        "$defs": definitions,
    }


def text() -> str:
    """The schema as it stands in `catalog.schema.json`."""
    return msgspec.json.format(msgspec.json.encode(schema()), indent=2).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
