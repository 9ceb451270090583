"""Each operation of the API as a `Call`: what is asked, and the types of its answers.

Written by `python -m tools.client_code` from the API's description: change the routes, not this file.
"""

from __future__ import annotations

from typing import Any, Literal

from model_manager.client.call import Call, given
from model_manager.client.types import (
    Accepted,
    Activated,
    Activation,
    ActivationList,
    Active,
    CatalogView,
    CurrentToken,
    Deactivated,
    Deleted,
    Entry,
    EnvVar,
    EventPage,
    Examination,
    Forecast,
    Health,
    History,
    IssuedToken,
    JobList,
    JobLog,
    JobView,
    ManifestOf,
    MetricsHistory,
    ModelSummary,
    OriginalEvent,
    OriginalJob,
    Preview,
    Problems,
    Queued,
    Readiness,
    Received,
    Refreshed,
    Resources,
    SettingList,
    Slot,
    SlotList,
    SlotLog,
    Source,
    SystemInfo,
    TakenOver,
    Tested,
    TokenInfo,
    TokenList,
    Toleration,
    Usage,
    Validation,
    Vllm,
    WeightDetails,
    WeightList,
    Why,
)


def healthz() -> Call[Health]:
    """Whether the process answers."""
    return Call(method="GET", path=("healthz",), returns={200: Health})


def readyz() -> Call[Readiness]:
    """Whether the service can do its work."""
    return Call(method="GET", path=("readyz",), returns={200: Readiness, 503: Readiness})


def metrics() -> Call[str]:
    """The service's numbers, as Prometheus reads them."""
    return Call(method="GET", path=("metrics",), returns={200: str})


def metrics_history(*, since: float | None = None, step: int | None = None) -> Call[MetricsHistory]:
    """The last six hours, a sample each half minute: kept in memory, so a restart begins anew."""
    return Call(
        method="GET",
        path=("metrics", "history"),
        returns={200: MetricsHistory},
        query={"since": since, "step": step},
    )


def system_info() -> Call[SystemInfo]:
    """What runs here, with what, and what happened lately."""
    return Call(method="GET", path=("system", "info"), returns={200: SystemInfo})


def doctor() -> Call[Examination]:
    """Look whether the service has what it needs: folders, catalog, platform, and what the catalog's models need."""
    return Call(method="GET", path=("system", "doctor"), returns={200: Examination})


def list_models(
    *,
    limit: int | None = None,
    cursor: str | None = None,
    task: Literal["chat", "embed"] | None = None,
    tag: str | None = None,
    q: str | None = None,
    active: bool | None = None,
    installed: bool | None = None,
) -> Call[list[ModelSummary]]:
    """Models of the catalog, by id."""
    return Call(
        method="GET",
        path=("models",),
        returns={200: list[ModelSummary]},
        query={
            "limit": limit,
            "cursor": cursor,
            "task": task,
            "tag": tag,
            "q": q,
            "active": active,
            "installed": installed,
        },
    )


def preview_entry(
    *,
    id: str,
    slot: str | None = None,
    display_name: str | None = None,
    hf_model_id: str | None = None,
    served_model_name: str | None = None,
    storage_uri: str | None = None,
    runtime: str | None = None,
    node_selector: dict[str, str] | None = None,
    tolerations: list[Toleration] | None = None,
    resources: Resources | None = None,
    env: list[EnvVar] | None = None,
    storage: dict[str, Any] | None = None,
    volumes: list[dict[str, Any]] | None = None,
    volume_mounts: list[dict[str, Any]] | None = None,
    vllm: Vllm | None = None,
    description: str | None = None,
    license: str | None = None,
    tags: list[str] | None = None,
    aliases: list[str] | None = None,
    hf_revision: str | None = None,
    files: list[str] | None = None,
    args: list[str] | None = None,
    context_length: int | None = None,
    parameters: dict[str, Any] | None = None,
    task: Literal["chat", "embed"] | None = None,
    pooling: Literal["cls", "last", "mean", "none", "rank"] | None = None,
    source: Source | None = None,
) -> Call[Preview]:
    """The InferenceService that an entry would become, and what was found in looking at it."""
    return Call(
        method="POST",
        path=("catalog", "preview"),
        returns={200: Preview},
        query={"slot": slot},
        payload=given(
            {
                "id": id,
                "displayName": display_name,
                "hfModelId": hf_model_id,
                "servedModelName": served_model_name,
                "storageUri": storage_uri,
                "runtime": runtime,
                "nodeSelector": node_selector,
                "tolerations": tolerations,
                "resources": resources,
                "env": env,
                "storage": storage,
                "volumes": volumes,
                "volumeMounts": volume_mounts,
                "vllm": vllm,
                "description": description,
                "license": license,
                "tags": tags,
                "aliases": aliases,
                "hfRevision": hf_revision,
                "files": files,
                "args": args,
                "contextLength": context_length,
                "parameters": parameters,
                "task": task,
                "pooling": pooling,
                "source": source,
            }
        ),
    )


def test_model(
    *, id: str, slot: str | None = None, readiness_url: str | None = None, timeout_seconds: int | None = None
) -> Call[Tested]:
    """Look whether a model could be served, without serving it."""
    return Call(
        method="POST",
        path=("models", "test"),
        returns={200: Tested},
        payload=given(
            {"id": id, "slot": slot, "readinessUrl": readiness_url, "timeoutSeconds": timeout_seconds}
        ),
    )


def validate_entry(
    *,
    id: str,
    slot: str | None = None,
    display_name: str | None = None,
    hf_model_id: str | None = None,
    served_model_name: str | None = None,
    storage_uri: str | None = None,
    runtime: str | None = None,
    node_selector: dict[str, str] | None = None,
    tolerations: list[Toleration] | None = None,
    resources: Resources | None = None,
    env: list[EnvVar] | None = None,
    storage: dict[str, Any] | None = None,
    volumes: list[dict[str, Any]] | None = None,
    volume_mounts: list[dict[str, Any]] | None = None,
    vllm: Vllm | None = None,
    description: str | None = None,
    license: str | None = None,
    tags: list[str] | None = None,
    aliases: list[str] | None = None,
    hf_revision: str | None = None,
    files: list[str] | None = None,
    args: list[str] | None = None,
    context_length: int | None = None,
    parameters: dict[str, Any] | None = None,
    task: Literal["chat", "embed"] | None = None,
    pooling: Literal["cls", "last", "mean", "none", "rank"] | None = None,
    source: Source | None = None,
) -> Call[Validation]:
    """Whether an entry could be served as it is: 200 if it could, else 400 with the same form of answer."""
    return Call(
        method="POST",
        path=("catalog", "validate"),
        returns={200: Validation, 400: Validation},
        query={"slot": slot},
        payload=given(
            {
                "id": id,
                "displayName": display_name,
                "hfModelId": hf_model_id,
                "servedModelName": served_model_name,
                "storageUri": storage_uri,
                "runtime": runtime,
                "nodeSelector": node_selector,
                "tolerations": tolerations,
                "resources": resources,
                "env": env,
                "storage": storage,
                "volumes": volumes,
                "volumeMounts": volume_mounts,
                "vllm": vllm,
                "description": description,
                "license": license,
                "tags": tags,
                "aliases": aliases,
                "hfRevision": hf_revision,
                "files": files,
                "args": args,
                "contextLength": context_length,
                "parameters": parameters,
                "task": task,
                "pooling": pooling,
                "source": source,
            }
        ),
    )


def activate(*, id: str, wait: int | None = None, slot: str | None = None) -> Call[Accepted | Activated]:
    """Make a slot serve a model."""
    return Call(
        method="POST",
        path=("models", "activate"),
        returns={202: Accepted, 200: Activated},
        query={"wait": wait},
        payload=given({"id": id, "slot": slot}),
    )


def deactivate(*, slot: str | None = None) -> Call[Deactivated]:
    """Empty a slot, also for the time after every restart."""
    return Call(
        method="POST",
        path=("models", "deactivate"),
        returns={200: Deactivated},
        payload=given({"slot": slot}),
    )


def get_model(model_id: str) -> Call[Entry]:
    """One model's entry, as it stands in the catalog."""
    return Call(method="GET", path=("models", model_id), returns={200: Entry})


def get_manifest(model_id: str, *, slot: str | None = None) -> Call[ManifestOf]:
    """The InferenceService that activating a model would want."""
    return Call(
        method="GET", path=("models", model_id, "manifest"), returns={200: ManifestOf}, query={"slot": slot}
    )


def get_active(*, slot: str | None = None) -> Call[Active]:
    """What a slot serves now; nothing is active before it was verified."""
    return Call(method="GET", path=("active",), returns={200: Active}, query={"slot": slot})


def get_catalog() -> Call[CatalogView]:
    """How the catalog is doing: its source, revision and age, and what is wrong."""
    return Call(method="GET", path=("catalog",), returns={200: CatalogView})


def refresh() -> Call[Refreshed]:
    """Read the catalog again now."""
    return Call(method="POST", path=("refresh",), returns={200: Refreshed})


def catalog_problems() -> Call[Problems]:
    """What is wrong in the catalog: file, line, field, sentence and hint."""
    return Call(method="GET", path=("catalog", "problems"), returns={200: Problems})


def list_weights() -> Call[WeightList]:
    """Installed weights, the largest first, and what else lies on the volume."""
    return Call(method="GET", path=("weights",), returns={200: WeightList})


def weights_usage() -> Call[Usage]:
    """How full the volume is, and how much of it is ours."""
    return Call(method="GET", path=("weights", "usage"), returns={200: Usage})


def install_weights(
    *,
    id: str | None = None,
    hf_model_id: str | None = None,
    revision: str | None = None,
    target: str | None = None,
    files: list[str] | None = None,
    overwrite: bool | None = None,
) -> Call[Queued]:
    """Install weights, in a job. The same installation asked for twice is one job."""
    return Call(
        method="POST",
        path=("weights", "install"),
        returns={202: Queued},
        payload=given(
            {
                "id": id,
                "hfModelId": hf_model_id,
                "revision": revision,
                "target": target,
                "files": files,
                "overwrite": overwrite,
            }
        ),
    )


def weights_info(name: str) -> Call[WeightDetails]:
    """One installed folder with its files and their SHA-256."""
    return Call(method="GET", path=("weights", name, "info"), returns={200: WeightDetails})


def delete_weights(name: str) -> Call[Deleted]:
    """Delete installed weights; refused while anything uses them."""
    return Call(method="DELETE", path=("weights", name), returns={200: Deleted})


def list_jobs(
    *,
    limit: int | None = None,
    cursor: str | None = None,
    status: Literal["cancelled", "completed", "failed", "pending", "running"] | None = None,
    type: str | None = None,
) -> Call[JobList]:
    """Jobs, newest first."""
    return Call(
        method="GET",
        path=("jobs",),
        returns={200: JobList},
        query={"limit": limit, "cursor": cursor, "status": status, "type": type},
    )


def get_job(job_id: str) -> Call[JobView]:
    """One job."""
    return Call(method="GET", path=("jobs", job_id), returns={200: JobView})


def cancel_job(job_id: str) -> Call[JobView]:
    """Cancel a job; what it has staged is cleaned up."""
    return Call(method="POST", path=("jobs", job_id, "cancel"), returns={200: JobView})


def retry_job(job_id: str) -> Call[JobView]:
    """Run a failed or cancelled job again."""
    return Call(method="POST", path=("jobs", job_id, "retry"), returns={200: JobView})


def job_log(job_id: str, *, lines: int | None = None) -> Call[JobLog]:
    """The last lines that a job's worker logged, oldest first."""
    return Call(method="GET", path=("jobs", job_id, "logs"), returns={200: JobLog}, query={"lines": lines})


def get_history(
    *,
    limit: int | None = None,
    cursor: str | None = None,
    before: int | None = None,
    event: str | None = None,
    subject: str | None = None,
    actor: str | None = None,
    since: str | None = None,
) -> Call[History]:
    """What happened, newest first."""
    return Call(
        method="GET",
        path=("history",),
        returns={200: History},
        query={
            "limit": limit,
            "cursor": cursor,
            "before": before,
            "event": event,
            "subject": subject,
            "actor": actor,
            "since": since,
        },
    )


def get_events(*, limit: int | None = None, after: int | None = None) -> Call[EventPage]:
    """Events, oldest first: a page of JSON, or a stream for those who accept `text/event-stream`."""
    return Call(
        method="GET", path=("events",), returns={200: EventPage}, query={"limit": limit, "after": after}
    )


def list_slots() -> Call[SlotList]:
    """All slots."""
    return Call(method="GET", path=("slots",), returns={200: SlotList})


def get_slot(slot: str) -> Call[Slot]:
    """One slot: what is desired, what serves."""
    return Call(method="GET", path=("slots", slot), returns={200: Slot})


def put_slot(slot: str, *, model: str, wait: int | None = None) -> Call[Activation]:
    """Make a slot want a model; the same wish again changes nothing."""
    return Call(
        method="PUT",
        path=("slots", slot),
        returns={202: Activation, 200: Activation},
        query={"wait": wait},
        payload=given({"model": model}),
    )


def empty_slot(slot: str) -> Call[Slot]:
    """Make a slot want nothing, now and after every restart."""
    return Call(method="DELETE", path=("slots", slot), returns={200: Slot})


def adopt_slot(slot: str, *, model: str | None = None) -> Call[Activation]:
    """Take over the InferenceService that somebody else made under a slot's name; none of its pods is restarted."""
    return Call(
        method="POST",
        path=("slots", slot, "adopt"),
        returns={202: Activation},
        payload=given({"model": model}),
    )


def why_slot(slot: str) -> Call[Why]:
    """Why a slot serves what it serves: one cause, one next step, and what they were read from."""
    return Call(method="GET", path=("slots", slot, "why"), returns={200: Why})


def slot_activations(
    slot: str, *, limit: int | None = None, cursor: str | None = None
) -> Call[ActivationList]:
    """The slot's activations, newest first."""
    return Call(
        method="GET",
        path=("slots", slot, "activations"),
        returns={200: ActivationList},
        query={"limit": limit, "cursor": cursor},
    )


def slot_logs(slot: str, *, lines: int | None = None) -> Call[SlotLog]:
    """The last log lines of a slot's model server, oldest first."""
    return Call(method="GET", path=("slots", slot, "logs"), returns={200: SlotLog}, query={"lines": lines})


def list_activations(
    *,
    limit: int | None = None,
    cursor: str | None = None,
    slot: str | None = None,
    model: str | None = None,
    result: Literal["active", "cancelled", "failed", "restored", "superseded"] | None = None,
) -> Call[ActivationList]:
    """Activations, newest first."""
    return Call(
        method="GET",
        path=("activations",),
        returns={200: ActivationList},
        query={"limit": limit, "cursor": cursor, "slot": slot, "model": model, "result": result},
    )


def forecast_activation(*, model: str | None = None, slot: str | None = None) -> Call[Forecast]:
    """How long activating a model would take, how much would be fetched, and how long the slot would serve nothing."""
    return Call(
        method="GET",
        path=("activations", "forecast"),
        returns={200: Forecast},
        query={"model": model, "slot": slot},
    )


def get_activation(activation_id: str, *, wait: int | None = None) -> Call[Activation]:
    """One activation; with `wait`, as soon as it has ended or the seconds are over."""
    return Call(
        method="GET", path=("activations", activation_id), returns={200: Activation}, query={"wait": wait}
    )


def cancel_activation(activation_id: str) -> Call[Activation]:
    """Give up an activation that is under way; the last good model serves again."""
    return Call(method="POST", path=("activations", activation_id, "cancel"), returns={200: Activation})


def list_tokens(*, limit: int | None = None, cursor: str | None = None) -> Call[TokenList]:
    """Issued tokens, newest first, without their secrets."""
    return Call(
        method="GET", path=("tokens",), returns={200: TokenList}, query={"limit": limit, "cursor": cursor}
    )


def create_token(
    *,
    name: str,
    scope: Literal["admin", "chat", "read"],
    models: list[str] | None = None,
    expires: str | int | None = None,
) -> Call[IssuedToken]:
    """Issue a token. Its secret is in this answer alone: the service keeps only a hash of it."""
    return Call(
        method="POST",
        path=("tokens",),
        returns={201: IssuedToken},
        payload=given({"name": name, "scope": scope, "models": models, "expires": expires}),
    )


def current_token() -> Call[CurrentToken]:
    """What the token of this request may do; answers every valid token, whatever its scope."""
    return Call(method="GET", path=("tokens", "current"), returns={200: CurrentToken})


def revoke_token(token: str) -> Call[TokenInfo]:
    """End a token, named by its id or name: from now on it is refused, and its open streams end."""
    return Call(method="DELETE", path=("tokens", token), returns={200: TokenInfo})


def list_settings() -> Call[SettingList]:
    """All settings, in the order of the documentation."""
    return Call(method="GET", path=("settings",), returns={200: SettingList})


def import_state(
    *, file: str, jobs: list[OriginalJob] | None = None, events: list[OriginalEvent] | None = None
) -> Call[TakenOver]:
    """Take over the original's jobs and history. What is there already is left as it is."""
    return Call(
        method="POST",
        path=("state", "import"),
        returns={200: TakenOver},
        payload=given({"file": file, "jobs": jobs, "events": events}),
    )


def catalog_webhook() -> Call[Received]:
    """Tell that something was pushed, as GitHub, GitLab, Gitea and Forgejo do."""
    return Call(method="POST", path=("catalog", "webhook"), returns={202: Received, 200: Received})


def support_bundle() -> Call[bytes]:
    """Everything that helps to find out what is wrong here, as a zip; secrets are taken out of it."""
    return Call(method="GET", path=("support-bundle",), returns={200: bytes})
