"""The API's objects. Fields that a newer service adds are ignored.

Written by `python -m tools.client_code` from the API's description: change the routes, not this file.
"""

from typing import Any

from msgspec import Struct


class Activation(Struct, rename="camel", kw_only=True):
    """One attempt, as shown to users. `result` is None while it is under way; `serving`: requests go to it now.

    `fetched_by` says who brings the weights: `model-manager`, which installs them once; `kserve`, whose storage
    initializer fetches them anew for each pod; "" where they are on a volume that somebody else fills."""

    id: str
    slot: str
    model_id: str
    revision: str
    entry_hash: str
    phase: str
    result: str | None
    code: str
    reason: str
    hint: str
    exit_code: int | None
    log_tail: list[str]
    restores: str | None
    restored_by: str | None
    job_id: str | None
    actor: str
    created_at: str
    phase_at: str
    ended_at: str | None
    catalog_moved_on: bool
    serving: bool
    fetched_by: str


class Accepted(Struct, rename="camel", kw_only=True):
    """It is wanted now; `url` tells how it goes on."""

    status: str
    message: str
    activation: Activation
    url: str


class Toleration(Struct, rename="camel", kw_only=True):
    key: str | None = None
    operator: str | None = None
    value: str | None = None
    effect: str | None = None


class Resources(Struct, rename="camel", kw_only=True):
    requests: dict[str, str] = {}
    limits: dict[str, str] = {}


class SecretKey(Struct, rename="camel", kw_only=True):
    name: str
    key: str
    optional: bool = False


class ValueFrom(Struct, rename="camel", kw_only=True):
    secret_key_ref: SecretKey | None = None
    config_map_key_ref: SecretKey | None = None


class EnvVar(Struct, rename="camel", kw_only=True):
    name: str
    value: str | None = None
    value_from: ValueFrom | None = None


class Vllm(Struct, rename="camel", kw_only=True):
    tensor_parallel_size: int | None = None
    dtype: str | None = None
    gpu_memory_utilization: float | None = None
    max_model_len: int | None = None
    trust_remote_code: bool = False
    extra_args: list[str] = []


class SourceFile(Struct, rename="camel", kw_only=True):
    path: str
    sha256: str | None = None
    size: int | None = None


class Source(Struct, rename="camel", kw_only=True):
    """Weights that are not on the Hub: a `file:`, `https:` or `hf://` URI and the files under it."""

    uri: str
    files: list[SourceFile] = []


class Entry(Struct, rename="camel", kw_only=True):
    """One model of the catalog."""

    id: str
    display_name: str | None = None
    hf_model_id: str | None = None
    served_model_name: str | None = None
    storage_uri: str | None = None
    runtime: str | None = None
    node_selector: dict[str, str] = {}
    tolerations: list[Toleration] = []
    resources: Resources | None = None
    env: list[EnvVar] = []
    storage: dict[str, Any] | None = None
    volumes: list[dict[str, Any]] = []
    volume_mounts: list[dict[str, Any]] = []
    vllm: Vllm | None = None
    description: str | None = None
    license: str | None = None
    tags: list[str] = []
    aliases: list[str] = []
    hf_revision: str | None = None
    files: list[str] = []
    args: list[str] = []
    context_length: int | None = None
    parameters: dict[str, Any] = {}
    task: str = "chat"
    pooling: str | None = None
    source: Source | None = None


class Applied(Struct, rename="camel", kw_only=True):
    """What became of the InferenceService `name`: created, updated, deleted or already_deleted."""

    action: str
    name: str


class Activated(Struct, rename="camel", kw_only=True):
    """It is served and verified."""

    status: str
    message: str
    model: Entry
    activation: Activation
    inferenceservice: Applied


class ActivationList(Struct, rename="camel", kw_only=True):
    """`next` is the cursor of the following page, null on the last one."""

    activations: list[Activation]
    next: str | None = None


class Active(Struct, rename="camel", kw_only=True):
    """`none` with a message, or `active` with the InferenceService of the verified model."""

    status: str
    slot: str
    message: str | None = None
    model_id: str | None = None
    inferenceservice: dict[str, Any] | None = None


class AuthInfo(Struct, rename="camel", kw_only=True):
    """Always on here: for clients of the original, which could do without."""

    enabled: bool


class Capacity(Struct, rename="camel", kw_only=True):
    """What a place has of something: GPUs in pieces, memory in bytes. None: not known."""

    place: str
    resource: str
    total: int | None
    free: int | None


class CatalogInfo(Struct, rename="camel", kw_only=True):
    """Where the catalog comes from and how fresh it is. `problems` counts them; `/catalog/problems` lists them."""

    root: str
    models_dir: str
    count: int
    last_refresh: str | None
    kind: str
    revision: str
    age_seconds: float
    ready: bool
    error: str | None
    stale_since: str | None
    problems: int


class Problem(Struct, rename="camel", kw_only=True):
    """One thing to put right in the catalog.

    `file` is relative to the catalog's root; `line` and `column` (in characters) count from 1;
    `field` is a dotted path such as `vllm.maxModelLen`, "" for the file as a whole. An `error` keeps
    something from being served as written, a `warning` does not."""

    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str = ""
    severity: str = "error"


class CatalogView(Struct, rename="camel", kw_only=True):
    """Where the catalog comes from and how fresh it is. `kind` is folder, link (git-sync's) or git.

    `revision` was swapped in at `loadedAt`; `ageSeconds` ago the source last confirmed that it is the newest. While
    the source fails, `error` and `hint` say why, and `staleSince` since when. `count` is of models."""

    source: str
    kind: str
    revision: str
    loaded_at: str | None
    age_seconds: float
    ready: bool
    count: int
    error: str | None
    hint: str
    stale_since: str | None
    problems: list[Problem]


class Check(Struct, rename="camel", kw_only=True):
    """One thing that was looked at. Only `fail` makes an entry invalid; `warn` is worth reading."""

    name: str
    status: str
    message: str
    metadata: dict[str, Any] = {}


class ClusterInfo(Struct, rename="camel", kw_only=True):
    """Which cluster serves. `kserve` is its version, or what its admission shows of it (`0.16 to 0.19`).

    `default_mode` is how it serves what asks for no mode, `modes` how it serves each InferenceService of a slot:
    `Standard` or `Knative`. What is not known is ""; `trouble` says why."""

    kubernetes: str = ""
    kserve: str = ""
    default_mode: str = ""
    modes: dict[str, str] = {}
    trouble: str = ""


class Condition(Struct, rename="camel", kw_only=True):
    """One that an InferenceService or a pod has, as Kubernetes tells it."""

    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: str = ""


class CurrentToken(Struct, rename="camel", kw_only=True):
    """Who the request's token stands for. `models` null: all; `expiresAt` null: never."""

    name: str
    scope: str
    models: list[str] | None
    expires_at: str | None


class Deactivated(Struct, rename="camel", kw_only=True):
    status: str
    message: str
    result: Applied


class Deleted(Struct, rename="camel", kw_only=True):
    status: str
    message: str


class Difference(Struct, rename="camel", kw_only=True):
    """A field of the applied object that somebody else changed; `by` names them, if that is recorded."""

    field: str
    wanted: Any
    found: Any
    by: str = ""


class DryRun(Struct, rename="camel", kw_only=True):
    """What an activation would do to the slot's InferenceService."""

    action: str
    manifest: dict[str, Any]


class HistoryEvent(Struct, rename="camel", kw_only=True):
    """One line of the history; ids grow with time, and are below zero for what was imported.

    `subject` is the slot, job, activation or folder it is about."""

    id: str
    event: str
    subject: str
    actor: str
    created_at: str
    model_id: str | None = None
    metadata: dict[str, Any] | None = None


class EventPage(Struct, rename="camel", kw_only=True):
    """Events, oldest first. `next` is the `after` to ask with for those that follow."""

    events: list[HistoryEvent]
    next: str


class Pod(Struct, rename="camel", kw_only=True):
    """A pod, or a process of this machine. `message` is why its container waits, or how it ended last."""

    name: str
    activation: str
    phase: str
    node: str = ""
    ready: bool = False
    leaving: bool = False
    restarts: int = 0
    exit_code: int | None = None
    message: str = ""
    conditions: list[Condition] = []


class Warned(Struct, rename="camel", kw_only=True):
    """A warning among the cluster's events, of something of this slot; `about` is its kind and name."""

    time: str
    about: str
    reason: str
    message: str
    count: int = 1


class Evidence(Struct, rename="camel", kw_only=True):
    """`unknown` are sentences about what could not be looked at."""

    conditions: list[Condition] = []
    pods: list[Pod] = []
    events: list[Warned] = []
    capacity: list[Capacity] = []
    unknown: list[str] = []


class Finding(Struct, rename="camel", kw_only=True):
    """One thing that was looked at. `unknown`: it may not be looked at, or nobody answered.

    `hint` says what to do about it; `command` does it, or shows more, where a single command can. `code` is what a
    failure for this is called, where it has a name of its own."""

    name: str
    status: str
    sentence: str
    hint: str = ""
    command: str = ""
    code: str = ""


class Examination(Struct, rename="camel", kw_only=True):
    """`status` is the worst of the findings'."""

    status: str
    findings: list[Finding]


class Forecast(Struct, rename="camel", kw_only=True):
    """Seconds until a model serves, and its parts; null where nothing is known.

    `downtimeSeconds` is the part in which the slot serves nothing: from the old model's last request to the new one's
    first. `basedOn` counts the loads that were looked at; `notes` say what the figures leave out."""

    seconds: float | None
    bytes_to_fetch: int | None
    install_seconds: float | None
    stop_seconds: float | None
    start_seconds: float | None
    downtime_seconds: float | None
    based_on: int
    notes: list[str]


class ForeignFolder(Struct, rename="camel", kw_only=True):
    """Something on the volume that is not ours: shown, never touched."""

    path: str
    size_bytes: int
    size_human: str


class Health(Struct, rename="camel", kw_only=True):
    status: str = "ok"


class HeldLease(Struct, rename="camel", kw_only=True):
    """The Lease of the cluster that this service works by. `holder` is its name there; `token` counts the turns."""

    namespace: str
    name: str
    holder: str
    token: int


class History(Struct, rename="camel", kw_only=True):
    """`next` is the cursor of the following page, null on the last one."""

    events: list[HistoryEvent]
    next: str | None = None


class InstalledFile(Struct, rename="camel", kw_only=True):
    """One verified file: path below the folder, bytes, SHA-256 of its content."""

    path: str
    size: int
    sha256: str


class IssuedToken(Struct, rename="camel", kw_only=True):
    """`token` is the secret itself. It is shown here and never again."""

    id: str
    name: str
    scope: str
    models: list[str] | None
    state: str
    created_at: str
    created_by: str
    expires_at: str | None
    last_used: str | None
    revoked_at: str | None
    token: str


class JobPayload(Struct, rename="camel", kw_only=True):
    """What the job is about; "" is what was not asked for, as in the original."""

    model_id: str
    hf_model_id: str
    revision: str
    target: str
    overwrite: bool


class JobProgress(Struct, rename="camel", kw_only=True):
    """`rate` in bytes per second; `eta` in seconds, when it can be told."""

    bytes_done: int
    bytes_total: int | None
    rate: float | None
    eta: float | None
    file: str | None


class JobView(Struct, rename="camel", kw_only=True):
    """A job. `error`, `error_code` and `hint` say why the latest attempt failed; `progress` is there while it runs."""

    id: str
    type: str
    key: str
    status: str
    cancelling: bool
    payload: JobPayload
    progress: JobProgress | None
    result: dict[str, Any] | None
    error: str | None
    error_code: str | None
    hint: str | None
    attempts: int
    crashes: int
    actor: str
    created_at: str
    updated_at: str


class JobList(Struct, rename="camel", kw_only=True):
    """`next` is the cursor of the following page, null on the last one."""

    jobs: list[JobView]
    next: str | None = None


class JobLog(Struct, rename="camel", kw_only=True):
    job_id: str
    lines: list[str]


class ManifestOf(Struct, rename="camel", kw_only=True):
    manifest: dict[str, Any]
    model: Entry


class MetricsHistory(Struct, rename="camel", kw_only=True):
    """Columns of one length, oldest first: `time` in seconds since the epoch, rates a second, sizes in bytes.

    Quantiles are null where no model was asked. `slots` has each slot's state."""

    step: int
    time: list[float]
    requests_per_second: list[float]
    errors_per_second: list[float]
    gateway_requests_per_second: list[float]
    gateway_tokens_per_second: list[float]
    gateway_p50_seconds: list[float | None]
    gateway_p95_seconds: list[float | None]
    in_flight: list[float]
    jobs_running: list[float]
    weights_bytes: list[float]
    disk_available_bytes: list[float]
    memory_bytes: list[float]
    slots: dict[str, list[str]]


class ModelSummary(Struct, rename="camel", kw_only=True):
    """One line of `GET /models`: the original's four fields first, then ours."""

    id: str
    display_name: str
    hf_model_id: str | None = None
    runtime: str | None = None
    served_model_name: str | None = None
    task: str = "chat"
    description: str | None = None
    license: str | None = None
    tags: list[str] = []
    aliases: list[str] = []
    context_length: int | None = None
    stale: bool = False


class NotFetched(Struct, rename="camel", kw_only=True):
    status: str = "error"
    message: str = "No URL is fetched for a request: ask the model through /v1 once it is active."


class OriginalEvent(Struct, rename="camel", kw_only=True):
    """A line of the original's history. `id` is a number of nanoseconds, or the event and the job it is about."""

    id: str
    event: str
    created_at: str
    model_id: str | None = None
    metadata: dict[str, Any] | None = None


class OriginalPayload(Struct, rename="camel", kw_only=True):
    hf_model_id: str = ""
    revision: str = ""
    target: str = ""


class OriginalJob(Struct, rename="camel", kw_only=True):
    """A job as the original stored it. It knew one type, `weight_install`, and had none cancelled before 0.5."""

    id: str
    type: str
    status: str
    created_at: str
    updated_at: str
    payload: OriginalPayload | None = None
    result: dict[str, Any] | None = None
    error: str = ""


class Validation(Struct, rename="camel", kw_only=True):
    """`valid`: no error in the entry and no failed check. `problems` are the errors and warnings with their places,
    `errors` the former as lines of text, `error` the first of all that is wrong."""

    valid: bool
    errors: list[str]
    checks: list[Check]
    generated_at: str
    problems: list[Problem]
    error: str | None = None


class Preview(Struct, rename="camel", kw_only=True):
    """`status` is `warning` when the entry is not valid as it is."""

    status: str
    model: Entry
    validation: Validation
    manifest: dict[str, Any]


class Problems(Struct, rename="camel", kw_only=True):
    revision: str
    problems: list[Problem]


class Queued(Struct, rename="camel", kw_only=True):
    status: str
    job: JobView


class Readiness(Struct, rename="camel", kw_only=True):
    """`status` is `ready` or `not_ready`; `reasons` are sentences."""

    status: str
    reasons: list[str] = []


class Received(Struct, rename="camel", kw_only=True):
    """`accepted`: the catalog is being looked at; `ignored` and `pong`: there was nothing to look for."""

    status: str
    message: str


class Refreshed(Struct, rename="camel", kw_only=True):
    status: str
    message: str
    revision: str
    models: list[ModelSummary]
    problems: list[Problem]


class SettingView(Struct, rename="camel", kw_only=True):
    """One setting. Of a secret, `value` is `set` or `not set`, and no more of it is told.

    `origin` is where the value came from; `program` means that the command chose it itself, as `quickstart` does."""

    name: str
    env: str
    value: str
    origin: str
    default: str
    help: str
    group: str


class SettingList(Struct, rename="camel", kw_only=True):
    settings: list[SettingView]


class Slot(Struct, rename="camel", kw_only=True):
    """A slot: what is desired of it, and what serves. `state` is `empty`, `active`, `failed` or the phase under way.

    `reason` says why the desired model does not serve now ("" when it does, or is just on its way);
    `last_failure` is what a user last asked for, if that failed, whatever serves instead. `drift` is what others have
    changed in the object that serves, field by field (on a cluster)."""

    name: str
    state: str
    desired: Activation | None
    serving: str | None
    last_good: str | None
    in_flight: int
    reason: str
    last_failure: Activation | None
    drift: list[Difference]


class SlotList(Struct, rename="camel", kw_only=True):
    slots: list[Slot]


class SlotLog(Struct, rename="camel", kw_only=True):
    slot: str
    lines: list[str]


class StateInfo(Struct, rename="camel", kw_only=True):
    """`enabled` is for clients of the original, which could do without; `sqlite` is the library's version."""

    path: str
    enabled: bool
    sqlite: str


class WeightsInfo(Struct, rename="camel", kw_only=True):
    path: str
    pvc_name: str


class WeightInfo(Struct, rename="camel", kw_only=True):
    """One installed folder. `used_by` names the slots that need it, `entry` the catalog entry it was made for."""

    path: str
    name: str
    size_bytes: int
    size_human: str
    modified_time: str
    file_count: int
    source: dict[str, Any]
    revision: str
    entry: str | None
    installed_at: str
    installed_by: str
    used_by: list[str]


class Usage(Struct, rename="camel", kw_only=True):
    """`total`, `used` and `available` are the file system's; `installed` is what our weights take of it."""

    total_bytes: int
    total_human: str
    used_bytes: int
    used_human: str
    available_bytes: int
    available_human: str
    installed_bytes: int
    installed_human: str
    model_count: int
    models: list[WeightInfo]


class SystemInfo(Struct, rename="camel", kw_only=True):
    """`gpuProfiles` is for clients of the original, and empty: this version estimates nothing by a GPU's name."""

    version: str
    platform: str
    started_at: str
    slots: list[str]
    catalog: CatalogInfo
    weights: WeightsInfo
    state: StateInfo
    auth: AuthInfo
    storage: Usage
    gpu_profiles: list[dict[str, Any]]
    recent_jobs: list[JobView]
    recent_history: list[HistoryEvent]
    problems: list[str]
    cluster: ClusterInfo | None
    lease: HeldLease | None


class TakenOver(Struct, rename="camel", kw_only=True):
    """How many were new here; `known` is how many were there already."""

    jobs: int
    events: int
    known: int


class Tested(Struct, rename="camel", kw_only=True):
    """`status` is `warning` when a check failed: the model could not be served."""

    status: str
    dry_run: DryRun
    checks: list[Check]
    readiness: NotFetched | None


class TokenInfo(Struct, rename="camel", kw_only=True):
    """An issued token without its secret. `models` null: all of them. Times in ISO 8601, null: never (yet)."""

    id: str
    name: str
    scope: str
    models: list[str] | None
    state: str
    created_at: str
    created_by: str
    expires_at: str | None
    last_used: str | None
    revoked_at: str | None


class TokenList(Struct, rename="camel", kw_only=True):
    """`next` is the cursor of the following page, null on the last one."""

    tokens: list[TokenInfo]
    next: str | None = None


class WeightDetails(Struct, rename="camel", kw_only=True):
    path: str
    name: str
    size_bytes: int
    size_human: str
    modified_time: str
    file_count: int
    source: dict[str, Any]
    revision: str
    entry: str | None
    installed_at: str
    installed_by: str
    used_by: list[str]
    files: list[InstalledFile]


class WeightList(Struct, rename="camel", kw_only=True):
    weights: list[WeightInfo]
    not_ours: list[ForeignFolder]


class Why(Struct, rename="camel", kw_only=True):
    """One cause, one next step, and what they were read from.

    `code` is a failure's, `unknown`, or a word for a state in which nothing is wrong (`serving`, `empty`, a phase).
    `activation` is the attempt that the cause is about; `log` its model server's last lines. After a failure the
    evidence is what was seen when it failed. `drift` is what others have changed in what serves, field by field."""

    slot: str
    state: str
    desired: str | None
    serving: str | None
    activation: str | None
    code: str
    cause: str
    next: str
    log: list[str]
    evidence: Evidence
    drift: list[Difference]
