"""The causes that a cluster tells of, as tables of what it says, what we say, and what to do next.

Each row was made from what Kubernetes 1.34 and KServe 0.20 were seen to say. `diagnose.py` looks them up.
"""

from model_manager.serving.diagnose import Diagnosis
from model_manager.serving.diagnose import Row as LogRow

AT_ONCE, SOON, PATIENT, NEVER = 0.0, 5.0, 20.0, float("inf")
"""Seconds that something may last until waiting longer is in vain; NEVER: it may still pass by itself."""


class Cause(Diagnosis, frozen=True):
    patience: float = PATIENT


class Row(LogRow, frozen=True):
    """`pattern` is looked for in what was said; `{0}`, `{1}` are its groups, `{said}` is all of it.

    Sentence and hint may name what it is about: see `diagnose.py`.
    """

    patience: float = PATIENT


_GPU = "Stop what holds it (`kubectl describe nodes` lists it), ask for less in the entry's `resources`, or add a node."

SCHEDULING = (
    Row("claim_missing", r'persistentvolumeclaim "([^"]+)" not found',
        "The volume claim {0} does not exist in the namespace {ns}.",
        "Create it, or correct the entry's `storageUri`; `kubectl -n {ns} get pvc` lists those there are.", SOON),
    Row("claim_unbound", r"unbound immediate PersistentVolumeClaims",
        "A volume claim of the pod is not bound to a volume: {claims} in the namespace {ns}.",
        "`kubectl -n {ns} describe pvc {claims}` says why: mostly its storage class has no volume to give."),
    Row("claim_elsewhere", r"volume node affinity conflict|didn't find available persistent volumes",
        "The volume is on another node than those that fit: {said}",
        "Use a volume that those nodes can mount, or correct the entry's `nodeSelector`."),
    Row("gpu_missing", r"Insufficient (\S+/(?:gpu|mig-)[^\s.,]*|gpu\.\S+/[^\s.,]+)",
        "No node has enough free {0}: {said}", _GPU),
    Row("resources_missing", r"Insufficient (\S+?)[.,]*(?:\s|$)",
        "No node has enough free {0}: {said}", _GPU),
    Row("no_node", r"didn't match Pod's node affinity/selector",
        "No node has the labels that the entry asks for: {said}",
        "Correct its `nodeSelector`, or label a node; `kubectl get nodes --show-labels` shows their labels."),
    Row("nodes_unready", r"untolerated taint.*\bnode\.kubernetes\.io/",
        "The nodes that fit are not ready, or under pressure: {said}", "`kubectl describe nodes` says of each why."),
    Row("no_node", r"untolerated taint",
        "The nodes that fit are reserved for others: {said}", "Let the entry's `tolerations` name the taint."),
    Row("unschedulable", r"", "No node can hold the pod: {said}",
        "`kubectl describe nodes` shows what there is; correct the entry's `resources` or `nodeSelector`."),
)  # fmt: skip

IMAGE = (
    Row("image_missing", r"(?i)not found|manifest unknown|does not exist",
        "{whose} image {image} does not exist: {said}", "Correct the image in {image_of}.", SOON),
    Row("image_denied", r"(?i)unauthorized|denied|authentication required|401|403",
        "{whose} image {image} is refused by its registry: {said}",
        "Correct the image in {image_of}, or let `imagePullSecrets` there name a Secret that may pull it.", SOON),
    Row("image_pull", r"", "{whose} image {image} cannot be pulled: {said}",
        "Check the image's name in {image_of}, and the way from the node to its registry."),
)  # fmt: skip
IMAGE_REASONS = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable",
     "ImageInspectError", "SignatureValidationFailed"}
)  # fmt: skip

IMAGE_OF_INITIALIZER = {
    "whose": "The storage initializer's",
    "image_of": "KServe's settings (`kubectl -n kserve edit configmap inferenceservice-config`, `storageInitializer`)",
}

CONFIGURATION = (
    Row("secret_missing", r'secret "([^"]+)" not found', "The secret {0} does not exist in the namespace {ns}.",
        "Create it (`kubectl -n {ns} create secret generic {0} --from-literal=KEY=VALUE`), or correct the entry.",
        SOON),
    Row("config_map_missing", r'configmap "([^"]+)" not found',
        "The ConfigMap {0} does not exist in the namespace {ns}.",
        "Create it (`kubectl -n {ns} create configmap {0} --from-literal=KEY=VALUE`), or correct the entry.", SOON),
    Row("key_missing", r"couldn't find key (\S+) in (\S+) (?:[^\s/]+/)?(\S+)",
        "The {1} {2} in the namespace {ns} has no key {0}.",
        "Add the key, or correct the entry's `env`; `kubectl -n {ns} describe {1} {2}` lists its keys.", SOON),
    Row("weights_missing", r"(?i)subpath|no such file or directory",
        "The weights' folder cannot be mounted: {said}", "Install the model's weights, or correct `storageUri`.", SOON),
    Row("command_missing", r"executable file not found|no such file",
        "The runtime's command is not in its image: {said}", "Correct `command` or the image in {runtime}.", SOON),
    Row("container", r"", "The container cannot be created: {said}",
        "Correct what it names in {runtime} or the entry."),
)  # fmt: skip
CONFIGURATION_REASONS = frozenset(
    {"CreateContainerConfigError", "CreateContainerError", "RunContainerError", "InvalidImageName"}
)

FETCHING = (
    # The Hub answers 401, not 404, for what does not exist, to those who have no token.
    Row("source_missing", r"(?i)repository ?not ?found",
        "The source of the weights does not exist, or is hidden from KServe's storage initializer: {said}",
        "Correct the entry's `storageUri`; for a private repository give the initializer a token (`HF_TOKEN`).",
        AT_ONCE),
    Row("not_allowed", r"(?i)401|gated|restricted|unauthorized",
        "The source of the weights refuses them: {said}",
        "Accept the model's licence on the Hub, and give KServe's storage initializer a token (`HF_TOKEN`).", AT_ONCE),
    Row("source_missing", r"(?i)404|not found|does not exist",
        "The source of the weights is not there: {said}", "Correct the entry's `storageUri`.", AT_ONCE),
    Row("disk_full", r"(?i)no space left|ephemeral",
        "The node's disk is too small for the weights: {said}", "Install them to the volume instead.", AT_ONCE),
    Row("fetch_failed", r"", "KServe could not fetch the weights: {said}",
        "Install the model's weights to the volume instead of `hf://`.", AT_ONCE),
)  # fmt: skip

EVENTS = (
    Row("probe_failed", r"Unhealthy: (Startup|Liveness) probe failed",
        "The model server was killed since its {0} probe failed too often.",
        "Large models load long: raise `failureThreshold` of that probe in {runtime}.", AT_ONCE),
    Row("mount_failed", r"(?:FailedMount|FailedAttachVolume|FailedMapVolume): (.*)",
        "A volume cannot be mounted: {0}",
        "See whether a pod on another node still holds it: `kubectl -n {ns} get pods -o wide`."),
    Row("sandbox_failed", r"FailedCreatePodSandBox: (.*)",
        "The node cannot start the pod: {0}", "Look at the node's container runtime and network."),
)  # fmt: skip

REFUSED = (
    Row("quota", r"exceeded quota: ([^,]*)", "The quota {0} does not allow another pod: {said}",
        "Raise it, or ask for less; `kubectl -n {ns} describe resourcequota` shows what is used.", SOON),
    Row("pod_refused", r"", "The cluster refuses the model's pod: {said}",
        "Correct what it names in {runtime} or the entry.", SOON),
)  # fmt: skip

RUNTIME = {
    "RuntimeNotRecognized": Row(
        "runtime_missing", r"",
        "KServe finds {runtime} neither in the namespace {ns} nor for the whole cluster: {said}",
        "Create it, or name another `runtime` in the entry; `kubectl -n {ns} get servingruntimes` and"
        " `kubectl get clusterservingruntimes` list those there are.", SOON),
    "RuntimeDisabled": Row(
        "runtime_disabled", r"", "KServe may not use {runtime}, which is disabled: {said}",
        "Remove `disabled: true` from it, or name another `runtime` in the entry.", SOON),
    "NoSupportingRuntime": Row(
        "runtime_unfit", r"", "The model is of no format that {runtime} supports: {said}",
        "Add the format to its `supportedModelFormats`, or name another `runtime` in the entry.", SOON),
    "InvalidPredictorSpec": Row(
        "invalid_spec", r"", "KServe cannot use the InferenceService {name}: {said}",
        "Correct what it names in {runtime} or the entry.", SOON),
}  # fmt: skip

SERVICE = (
    Row("storage_uri", r"storageUri, must be one of",
        "KServe does not know this kind of `storageUri`: {said}", "Use pvc://, hf://, s3://, gs:// or https://.", SOON),
    Row("no_knative", r"ServerlessModeRejected",
        "The InferenceService {name} asks for Knative, which this cluster does not have.",
        "Delete it (`kubectl -n {ns} delete inferenceservice {name}`) and activate the model again: the mode of an"
        " existing one cannot be changed.", SOON),
    Row("name_too_long", r"InternalError: .*invalid domain name",
        "KServe can make no host name of the slot's and the namespace's names: {said}",
        "Both together may have 52 characters: shorten one of them.", SOON),
    Row("kserve", r"InternalError: (?!.*(?:object has been modified|(?i:runtime)))(.*)", "KServe reports: {0}",
        "Look at its controller's log: `kubectl -n kserve logs deploy/kserve-controller-manager`."),
)  # fmt: skip

ROWS = (*SCHEDULING, *IMAGE, *CONFIGURATION, *FETCHING, *EVENTS, *REFUSED, *SERVICE)
