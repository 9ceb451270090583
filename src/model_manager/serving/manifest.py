"""Catalog entry → KServe InferenceService. Pure: the same entry and context give the same object, byte for byte.

Rendered once, used by both platforms. What the entry may not decide is left out with a warning; what cannot be
served at all is refused.
"""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from model_manager.catalog.entry import Entry, Toleration
from model_manager.errors import Unprocessable
from model_manager.serving.engine_args import engine_arguments
from model_manager.serving.environment import render_env
from model_manager.serving.expansion import references
from model_manager.serving.platform import ACTIVATION_LABEL, Manifest
from model_manager.serving.runtime import WEIGHTS_ANNOTATION, Engine, ServingRuntime, engine_of
from model_manager.serving.volumes import render_mounts, render_volumes

MODEL_LABEL = "model-manager/model-id"
REVISION_ANNOTATION = "model-manager/catalog-revision"
HASH_ANNOTATION = "model-manager/entry-hash"
SECRET_ANNOTATIONS = ("serving.kserve.io/secretName", "serving.kserve.io/storageSecretName")
"""What KServe's storage initializer finds its Secret by: the first as its charts configure it, the second as its
manifests do. Variables of the model do not reach the initializer."""

HUB_TOKEN = "HF_TOKEN"
"""The only key of that Secret that the initializer takes for the hub."""

_SLOT = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


class RenderContext(Struct, frozen=True):
    """What a manifest needs beside the entry.

    `weights_folder` is where the installed weights lie below the volume `pvc_name` (None: not installed by us);
    `runtimes` are the known ServingRuntimes by name, which tell whose command line each speaks; `hub_token_secret` is
    the Secret for KServe's own fetching.
    """

    slot: str
    namespace: str
    activation: str
    revision: str
    entry_hash: str
    weights_folder: str | None
    pvc_name: str
    default_runtime: str
    runtimes: Mapping[str, ServingRuntime] = {}
    hub_token_secret: str = ""


def render(entry: Entry, context: RenderContext) -> tuple[Manifest, tuple[str, ...]]:
    """The InferenceService of one activation, and a sentence for each thing of the entry it leaves out.

    Raises Unprocessable with a sentence and a hint when KServe could never serve this entry.
    """
    _check_slot(context.slot)
    notes: list[str] = []
    runtime = entry.runtime or context.default_runtime
    engine = engine_of(runtime, context.runtimes.get(runtime))
    model = _model(entry, context, runtime, engine, notes)
    _refuse_templates(model, "model")
    _refuse_foreign_variables(model)
    predictor: dict[str, Any] = {
        "minReplicas": 1,
        "maxReplicas": 1,
        # One GPU cannot hold the old model and the new: a rolling update would wait for itself for ever.
        "deploymentStrategy": {"type": "Recreate"},
        "labels": _labels(entry, context),
        # A Service called `vllm` would otherwise inject VLLM_PORT=tcp://…, which vLLM refuses to start with.
        "enableServiceLinks": False,
        **_pod(entry),
        "model": model,
    }
    manifest: Manifest = {
        "apiVersion": "serving.kserve.io/v1beta1",
        "kind": "InferenceService",
        "metadata": {
            "name": context.slot,
            "namespace": context.namespace,
            "labels": _labels(entry, context),
            "annotations": _annotations(entry, context),
        },
        "spec": {"predictor": predictor},
    }
    return manifest, tuple(notes)


def _check_slot(slot: str) -> None:
    """KServe's rule for names; longer ones would not fit the host names it makes of them."""
    if not _SLOT.fullmatch(slot) or len(slot) > 40:
        raise Unprocessable(
            f"{slot!r} cannot be the name of a slot.",
            "Use lower-case letters, digits and dashes, a letter first, at most 40 characters.",
        )


def _labels(entry: Entry, context: RenderContext) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "model-manager",
        MODEL_LABEL: entry.id,
        ACTIVATION_LABEL: context.activation,
    }


def _annotations(entry: Entry, context: RenderContext) -> dict[str, str]:
    annotations = {
        # Said outright: `deploymentStrategy` is only allowed beside it, and a cluster's default may differ.
        "serving.kserve.io/deploymentMode": "Standard",
        # No autoscaler: it would fight over the one replica.
        "serving.kserve.io/autoscalerClass": "none",
        # The original wrote the id here, and its clients read it from `/active`.
        MODEL_LABEL: entry.id,
        REVISION_ANNOTATION: context.revision,
        HASH_ANNOTATION: context.entry_hash,
    }
    if context.weights_folder:
        annotations[WEIGHTS_ANNOTATION] = context.weights_folder
    elif context.hub_token_secret and _storage_uri(entry, context).startswith("hf://"):
        annotations |= dict.fromkeys(SECRET_ANNOTATIONS, context.hub_token_secret)
    return annotations


def _model(
    entry: Entry, context: RenderContext, runtime: str, engine: Engine, notes: list[str]
) -> dict[str, Any]:
    model: dict[str, Any] = {
        # `custom`, as in the original: a runtime written for its catalogs goes on matching.
        "modelFormat": {"name": "custom"},
        "runtime": runtime,
        "storageUri": _storage_uri(entry, context),
        "args": engine_arguments(entry, engine, notes),
    }
    if env := render_env(entry.env, notes):
        model["env"] = env
    if resources := _resources(entry):
        # Here alone: `predictor.resources` is the pod-level field, which refuses GPUs.
        model["resources"] = resources
    if mounts := render_mounts(entry, notes):
        model["volumeMounts"] = mounts
    if entry.storage:
        notes.append("`storage` is left out: `storageUri` says where the weights are.")
    return model


def _storage_uri(entry: Entry, context: RenderContext) -> str:
    """The entry's own URI; a bare claim gets the folder added; installed weights come from our claim; else the Hub.

    Never none: KServe would take a model without one for a multi-model server.
    """
    own = entry.storage_uri or ""
    if own.startswith("pvc://"):
        claim, _, path = own.removeprefix("pvc://").partition("/")
        if path.strip("/") or not context.weights_folder:
            return own
        return f"pvc://{claim}/{context.weights_folder}"
    if own:
        return own
    if context.weights_folder:
        return f"pvc://{context.pvc_name}/{context.weights_folder}"
    if entry.hf_model_id:
        return f"hf://{entry.hf_model_id}" + (f":{entry.hf_revision}" if entry.hf_revision else "")
    raise Unprocessable(
        f"The entry {entry.id!r} does not say where its weights are.",
        "Give it a `storageUri`, an `hfModelId` or a `source`.",
    )


def _resources(entry: Entry) -> dict[str, dict[str, str]]:
    if not entry.resources:
        return {}
    both = {"requests": dict(entry.resources.requests), "limits": dict(entry.resources.limits)}
    return {kind: amounts for kind, amounts in both.items() if amounts}


def _pod(entry: Entry) -> dict[str, Any]:
    pod: dict[str, Any] = {}
    if entry.node_selector:
        pod["nodeSelector"] = dict(entry.node_selector)
    if entry.tolerations:
        pod["tolerations"] = [_toleration(toleration) for toleration in entry.tolerations]
    if volumes := render_volumes(entry):
        pod["volumes"] = volumes
    return pod


def _toleration(toleration: Toleration) -> dict[str, str]:
    return {
        name: value
        for name in ("key", "operator", "value", "effect")
        if (value := getattr(toleration, name)) is not None
    }


def _refuse_templates(value: Any, where: str) -> None:
    """KServe executes the container's JSON as a template: `{{` in it breaks the activation, or worse, is filled in."""
    if isinstance(value, str) and "{{" in value:
        raise Unprocessable(
            f"The entry holds '{{{{' in {where}, which KServe would execute as a template: {value[:80]!r}.",
            "Put chat templates into a file of the model and name that file.",
        )
    if isinstance(value, Mapping):
        for key, item in value.items():
            _refuse_templates(item, f"{where}.{key}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _refuse_templates(item, f"{where}[{index}]")


def _refuse_foreign_variables(model: Mapping[str, Any]) -> None:
    """`$(NAME)` of the runtime's variables: an entry could have the operator's secrets told as its model's name."""
    env = model.get("env", ())
    own = {item["name"] for item in env if "value" in item or "valueFrom" in item}
    for text in (*model["args"], *(item.get("value", "") for item in env)):
        if foreign := [name for name in references(text) if name not in own]:
            raise Unprocessable(
                f"The entry uses the variable $({foreign[0][:80]}), which it does not set itself.",
                "Give the variable a value in the entry's `env`, or write `$$(…)` where the text itself is meant.",
            )
