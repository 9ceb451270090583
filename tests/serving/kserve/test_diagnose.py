"""Why models do not start on a cluster: what Kubernetes said of each failure, and the cause that is read from it."""

import re
from typing import Any

import pytest

from model_manager.serving.kserve.causes import AT_ONCE, NEVER, SOON
from model_manager.serving.kserve.diagnose import find, of_pod, of_service

VOLUMES: list[dict[str, Any]] = [
    {"name": "v", "persistentVolumeClaim": {"claimName": "weights"}},
    {"name": "e"},
]
RUNNING: dict[str, Any] = {"state": {"running": {}}, "lastState": {}}


def pod(status: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    container = {"name": "kserve-container", "resources": {"limits": {"memory": "8Gi"}}}
    statuses = [{"name": "kserve-container", "image": "llama:1", **status}] if status else []
    return {
        "metadata": {"name": "active-llm-predictor-x", "namespace": "models"},
        "spec": {"containers": [container], "nodeName": "gpu-1", "volumes": VOLUMES},
        "status": {"phase": "Pending", "containerStatuses": statuses, **more},
    }


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"state": {"waiting": {"reason": reason, "message": message}}, "lastState": {}}


def unscheduled(message: str) -> dict[str, Any]:
    return pod(conditions=[
        {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}])  # fmt: skip


def init(state: dict[str, Any], last: dict[str, Any] | None = None) -> dict[str, Any]:
    return pod(waiting("PodInitializing"), initContainerStatuses=[
        {"name": "storage-initializer", "state": state, "lastState": last or {}}])  # fmt: skip


def ended(code: int, reason: str = "Error", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


def event(reason: str, message: str) -> dict[str, Any]:
    return {"reason": reason, "message": message}


BACKOFF = {"waiting": {"reason": "CrashLoopBackOff"}}
NODES = "0/1 nodes are available: "
PULL = 'failed to pull and unpack image "model-manager/llama-cpp:test": '

PODS = [
    ("claim_missing", unscheduled('persistentvolumeclaim "absent" not found. not found'),
     "claim absent does not exist in the namespace models."),
    ("claim_unbound", unscheduled(f"{NODES}pod has unbound immediate PersistentVolumeClaims."),
     "to a volume: weights in the namespace models."),
    ("claim_elsewhere", unscheduled(f"{NODES}1 node(s) had volume node affinity conflict."), "on another node"),
    ("gpu_missing", unscheduled(f"{NODES}1 Insufficient nvidia.com/gpu."), "enough free nvidia.com/gpu: 0/1"),
    ("gpu_missing", unscheduled(f"{NODES}1 Insufficient amd.com/gpu, 2 Insufficient cpu."), "free amd.com/gpu: "),
    ("resources_missing", unscheduled(f"{NODES}1 Insufficient memory."), "enough free memory: "),
    ("no_node", unscheduled(f"{NODES}1 node(s) didn't match Pod's node affinity/selector."), "No node has the labels"),
    ("no_node", unscheduled(f"{NODES}1 node(s) had untolerated taint {{gpu: true}}."), "reserved for others"),
    ("nodes_unready", unscheduled(f"{NODES}1 node(s) had untolerated taint {{node.kubernetes.io/unreachable: }}."),
     "not ready, or under pressure"),
    ("unschedulable", unscheduled("something new"), "No node can hold the pod: something new."),
    ("image_missing", pod(waiting("ErrImagePull", f"{PULL}not found")), "does not exist: failed to pull"),
    ("image_missing", pod(waiting("ImagePullBackOff", f"Back-off: ErrImagePull: {PULL}not found")), "does not exist"),
    ("image_denied", pod(waiting("ErrImagePull", "pull access denied")), "is refused by its registry"),
    ("image_pull", pod(waiting("ErrImagePull", "dial tcp: i/o timeout")), "cannot be pulled: dial tcp"),
    ("image_missing", pod(waiting("ImagePullBackOff", 'Back-off pulling image "llama:1": ErrImagePull: failed to pull '
        'and unpack image "llama:1": failed to resolve reference "llama:1": llama:1: not found')),
     "The runtime's image llama:1 does not exist: not found."),
    ("image_pull", pod(waiting("InvalidImageName")), "The runtime's image llama:1 cannot be pulled: InvalidImageName."),
    ("secret_missing", pod(waiting("CreateContainerConfigError", 'secret "hf" not found')),
     "The secret hf does not exist in the namespace models."),
    ("config_map_missing", pod(waiting("CreateContainerConfigError", 'configmap "c" not found')), "ConfigMap c"),
    ("key_missing", pod(waiting("CreateContainerConfigError", "couldn't find key t in Secret models/hf")),
     "The Secret hf in the namespace models has no key t."),
    ("weights_missing", pod(waiting("CreateContainerConfigError", "failed to prepare subPath for volumeMount")),
     "cannot be mounted"),
    ("command_missing", pod(waiting("RunContainerError", 'exec: "vllm": executable file not found in $PATH')),
     "not in its image"),
    ("container", pod(waiting("CreateContainerError", "context deadline exceeded")), "context deadline exceeded."),
    ("not_allowed", init(BACKOFF, ended(1, message="401 gated repo")), "refuses them: 401 gated repo."),
    ("source_missing", init(ended(1, message="RepositoryNotFoundError: 401 Client Error.")), "does not exist, or is"),
    ("source_missing", init(ended(1, message="EntryNotFoundError: 404 Client Error.")), "is not there"),
    ("disk_full", init(ended(1, message="OSError: No space left on device")), "disk is too small"),
    ("fetch_failed", init(BACKOFF, ended(3)), "storage-initializer ended with 3."),
    ("fetch_out_of_memory", init(BACKOFF, ended(137, "OOMKilled")), "killed for want of memory"),
    ("image_missing", init(waiting("ErrImagePull", "kserve/storage-initializer: not found")["state"]),
     "The storage initializer's image does not exist"),
    ("out_of_memory", pod({"state": BACKOFF, "lastState": ended(137, "OOMKilled")}), "than its limit of 8Gi."),
    ("out_of_memory", pod({"state": {"running": {}}, "lastState": ended(137, "OOMKilled")}), "limit of 8Gi"),
    ("evicted", pod(phase="Failed", reason="Evicted", message="The node was low on memory."), "low on memory"),
    ("node_lost", pod(RUNNING, conditions=[{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]),
     "The node gpu-1 does not answer."),
    ("node_lost", pod(RUNNING, conditions=[{"type": "Ready", "status": "False"},
                                           {"type": "ContainersReady", "status": "True"}]), "gpu-1 does not answer."),
    ("node_lost", pod(RUNNING, reason="NodeLost"), "gpu-1 does not answer."),
]  # fmt: skip


@pytest.mark.parametrize(("code", "seen", "said"), PODS)
def test_each_failure_of_a_pod_is_named(code: str, seen: dict[str, Any], said: str) -> None:
    found = of_pod(seen, runtime="fast")
    assert found is not None
    assert (found.code, said in found.sentence) == (code, True), found.sentence
    assert not re.search(r"[{}]|-n (?!models |kserve )", found.hint), "commands can be pasted"
    assert found.sentence.endswith(".")
    assert not found.sentence.endswith("..")
    assert found.hint.endswith(".")
    assert found.patience <= 20 or found.patience == NEVER, "known within 30 s, with the loop's own interval"


@pytest.mark.parametrize(
    "seen",
    [
        pod(RUNNING),
        pod(waiting("ContainerCreating")),
        pod(waiting("PodInitializing"), initContainerStatuses=[{"name": "i", "state": {"running": {}}}]),
        init(ended(0, "Completed")),
        pod({"state": BACKOFF, "lastState": ended(2)}),
        pod({"state": {"running": {}}, "lastState": ended(1)}),
        {},
        {"status": None, "spec": []},
    ],
)
def test_what_is_on_its_way_or_ended_by_itself_is_no_finding(seen: dict[str, Any]) -> None:
    """The log of what ended by itself tells more."""
    assert of_pod(seen, [event("BackOff", "Back-off restarting failed container")]) is None


def test_a_kill_after_failed_probes_is_told_from_a_crash() -> None:
    events = [event("Unhealthy", "Startup probe failed: connection refused")]
    killed = of_pod(pod({"state": {"running": {}}, "lastState": ended(137)}), events)
    assert killed is not None
    assert (killed.code, killed.patience) == ("probe_failed", AT_ONCE)
    assert killed.sentence == "The model server was killed since its Startup probe failed too often."
    assert of_pod(pod({"state": {"running": {}}, "lastState": ended(1)}), events) is None
    assert of_pod(pod(RUNNING), events) is None


def test_what_runs_and_fails_its_probe_is_not_ready_and_that_may_pass() -> None:
    """A large model loads for minutes: only the activation's deadline ends that."""
    events = [event("Unhealthy", "Startup probe failed: connection refused"),
              event("Unhealthy", "Startup probe failed: HTTP probe failed with statuscode: 503")]  # fmt: skip
    unready = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
    found = of_pod(pod(RUNNING, conditions=unready), events)
    assert found is not None
    assert (found.code, found.patience) == ("not_ready", NEVER)
    assert found.sentence.endswith("its Startup probe fails: HTTP probe failed with statuscode: 503.")
    again = pod({"state": {"running": {}}, "lastState": ended(1)}, conditions=unready)
    assert of_pod(again, events) is None, "it ended by itself: its log tells more"
    gates = [{"type": "Ready", "status": "False", "reason": "ReadinessGatesNotReady"},
             {"type": "ContainersReady", "status": "True"}]  # fmt: skip
    assert of_pod(pod(RUNNING, conditions=gates)) is None


@pytest.mark.parametrize(
    ("reason", "code"),
    [("FailedMount", "mount_failed"), ("FailedAttachVolume", "mount_failed"),
     ("FailedCreatePodSandBox", "sandbox_failed")],
)  # fmt: skip
def test_what_only_events_tell(reason: str, code: str) -> None:
    creating = pod(waiting("ContainerCreating"))
    found = of_pod(creating, [event(reason, "Multi-Attach error for volume")])
    assert found is not None
    assert (found.code, "Multi-Attach error for volume." in found.sentence) == (code, True)
    assert of_pod(pod(RUNNING), [event(reason, "Multi-Attach error")]) is None, "it was mounted in the end"


def test_the_lost_node_is_the_cause_also_when_another_pod_waits_for_room() -> None:
    conditions = [{"type": "Ready", "status": "False"}, {"type": "ContainersReady", "status": "True"}]
    lost = pod(RUNNING, conditions=conditions) | {"metadata": {"uid": "1", "deletionTimestamp": "now"}}
    waits = unscheduled(f"{NODES}1 Insufficient nvidia.com/gpu.") | {"metadata": {"uid": "2"}}
    for mine, code in (([lost, waits], "node_lost"), ([waits], "gpu_missing")):
        found = find({}, mine, mine, [])
        assert found is not None
        assert found[0].code == code
    served = pod(RUNNING, conditions=[{"type": "Ready", "status": "True"}])
    assert find({}, [lost, served], [lost, served], []) is None, "it runs elsewhere by now"


def service(transition: str = "InvalidSpec", reason: str = "") -> dict[str, Any]:
    failure = {"reason": reason, "message": "Waiting for runtime to become available"}
    return {
        "metadata": {"name": "active-llm", "namespace": "models"},
        "spec": {"predictor": {"model": {"runtime": "fast"}}},
        "status": {"modelStatus": {"transitionStatus": transition, "lastFailureInfo": failure}},
    }


@pytest.mark.parametrize(
    ("reason", "code"),
    [("RuntimeNotRecognized", "runtime_missing"), ("RuntimeDisabled", "runtime_disabled"),
     ("NoSupportingRuntime", "runtime_unfit"), ("InvalidPredictorSpec", "invalid_spec")],
)  # fmt: skip
@pytest.mark.parametrize("others", [[], [pod(RUNNING)]], ids=["no pod", "the old pod, which KServe keeps"])
def test_what_kserve_says_where_there_is_no_pod_as_it_is_wanted(
    reason: str, code: str, others: list[dict[str, Any]]
) -> None:
    found = of_service(service(reason=reason), [], others, [])
    assert found is not None
    assert found.code == code
    assert "Waiting for runtime" in found.sentence
    assert "serving runtime fast" in found.sentence + found.hint
    assert found.patience == SOON


def test_an_old_failure_of_the_service_is_not_believed() -> None:
    """`lastFailureInfo` stays after recovery, and describes the outgoing pod right after an apply."""
    assert of_service(service("UpToDate", "RuntimeNotRecognized"), [], [], []) is None
    mine = [pod(RUNNING)]
    assert of_service(service(reason="RuntimeNotRecognized"), [], mine, mine) is None
    noise = [
        event("UpdateFailed", "the object has been modified"),
        event("InternalError", "the object has been modified"),
    ]
    assert of_service({}, noise, [], []) is None


@pytest.mark.parametrize(
    ("told", "code"),
    [
        (event("InternalError", "storageUri, must be one of: [gs://]."), "storage_uri"),
        (event("FailedCreate", 'pods "a" is forbidden: exceeded quota: gpus, requested: limits'), "quota"),
        (event("InternalError", 'failed creating host name: invalid domain name "a"'), "name_too_long"),
        (event("InternalError", "the cluster is upside down"), "kserve"),
        (event("FailedCreate", "admission webhook denied: no"), "pod_refused"),
        (event("ServerlessModeRejected", "Knative Services are not available"), "no_knative"),
    ],
)  # fmt: skip
def test_events_tell_why_there_is_no_pod(told: dict[str, Any], code: str) -> None:
    found = of_service({}, [told], [], [])
    assert found is not None
    assert found.code == code
    assert of_service({}, [told], [pod(RUNNING)], []) is None, "it may be about a pod that is leaving"


@pytest.mark.parametrize(
    ("seen", "step"),
    [
        (unscheduled(f"{NODES}pod has unbound immediate PersistentVolumeClaims."),
         "kubectl -n models describe pvc weights"),
        (pod(waiting("CreateContainerConfigError", 'secret "hf" not found')),
         "kubectl -n models create secret generic hf "),
        (pod(waiting("CreateContainerConfigError", "couldn't find key t in Secret models/hf")),
         "kubectl -n models describe Secret hf`"),
        (pod(waiting("ErrImagePull", "not found")), "Correct the image in the serving runtime fast."),
        (init(waiting("ErrImagePull", "not found")["state"]),
         "kubectl -n kserve edit configmap inferenceservice-config"),
    ],
)  # fmt: skip
def test_the_next_step_names_what_is_meant_and_where(seen: dict[str, Any], step: str) -> None:
    found = of_pod(seen, runtime="fast")
    assert found is not None
    assert step in found.hint


def test_the_next_step_for_a_service_names_it() -> None:
    found = of_service(service("UpToDate"), [event("ServerlessModeRejected", "no")], [], [])
    assert found is not None
    assert "`kubectl -n models delete inferenceservice active-llm`" in found.hint
    labelled = {"labels": {"serving.kserve.io/inferenceservice": "second"}}
    conditions = [{"type": "Ready", "status": "False"}]
    probed = of_pod(
        pod(RUNNING, conditions=conditions) | {"metadata": labelled},
        [event("Unhealthy", "Startup probe failed: 1")],
    )
    assert probed is not None
    assert "`model-manager logs second`" in probed.hint


def test_a_name_out_of_a_catalog_is_no_command_in_a_hint() -> None:
    waits = {"reason": "CreateContainerConfigError", "message": 'secret "a; rm -rf ~" not found'}
    status = {"name": "kserve-container", "state": {"waiting": waits}}
    pod = {"metadata": {"name": "p", "namespace": "ai"}, "status": {"containerStatuses": [status]}}
    cause = of_pod(pod)
    assert cause is not None
    assert "create secret generic 'a; rm -rf ~' --from" in cause.hint
