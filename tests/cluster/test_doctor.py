"""What the doctor, and a try of one model, say of the real control plane."""

import copy
from pathlib import Path

import pytest
from testcluster import Cluster, Namespace

from model_manager.serving.findings import Finding
from model_manager.serving.kserve.opening import open_platform
from model_manager.serving.kserve.platform import KServePlatform
from model_manager.serving.kserve.rights import RIGHTS
from model_manager.serving.platform import Manifest
from tests.cluster import test_platform
from tests.cluster.house import house, prepare
from tests.serving.ground import manifest

account, platform = test_platform.account, test_platform.platform
RBAC = "rbac.authorization.k8s.io"


async def examined(platform: KServePlatform, wanted: Manifest | None = None) -> dict[str, Finding]:
    return {one.name: one for one in await platform.examine({"demo": wanted or manifest("well")})}


async def may_read_knatives_settings(namespace: Namespace) -> None:
    name, place = f"{namespace.name}-features", "knative-serving"
    meta = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": name, "namespace": place}}
    rule = {
        "apiGroups": [""],
        "resources": ["configmaps"],
        "resourceNames": ["config-features"],
        "verbs": ["get"],
    }
    await namespace.api.apply({**meta, "kind": "Role", "rules": [rule]})
    role = {"apiGroup": RBAC, "kind": "Role", "name": name}
    subject = {"kind": "ServiceAccount", "name": "model-manager", "namespace": namespace.name}
    await namespace.api.apply({**meta, "kind": "RoleBinding", "roleRef": role, "subjects": [subject]})


async def test_a_cluster_where_all_is_well_but_what_may_not_be_read(
    cluster: Cluster, namespace: Namespace, platform: KServePlatform
) -> None:
    await cluster.start_knative()
    found = await examined(platform)
    assert {name for name, one in found.items() if one.status != "ok"} == {"knative"}, found
    assert (found["knative"].status, "may not get configmaps" in found["knative"].sentence) == (
        "unknown",
        True,
    )
    await may_read_knatives_settings(namespace)
    found = await examined(platform)
    assert {one.status for one in found.values()} == {"ok"}, found
    assert found["kubernetes"].sentence.startswith("Kubernetes v1.")
    assert found["crd:inferenceservices.serving.kserve.io"].sentence.endswith("in version v1beta1.")
    assert found["kserve"].sentence == "KServe 0.20 or newer serves in Standard mode where none is asked for."
    assert "nvidia.com/gpu on " in found["gpus"].sentence
    print("\n".join(f"{one.status} {one.name}: {one.sentence}" for one in found.values()))


async def test_every_right_that_is_missing_is_named_with_the_command(
    namespace: Namespace, account: Path, platform: KServePlatform
) -> None:
    kept = [right for right in RIGHTS if right.kind.namespaced and not right.vital]
    await namespace.grant("model-manager", [
        {"apiGroups": [right.kind.group], "resources": [right.resource.split(".")[0]], "verbs": list(right.verbs)}
        for right in kept
    ])  # fmt: skip
    found = await examined(platform)
    missing = {right.name for right in RIGHTS if right.kind.namespaced and right.vital}
    assert {name for name, one in found.items() if one.status == "fail"} == missing, found
    granting = f"--serviceaccount={namespace.name}:model-manager"
    assert all(found[name].command.endswith(granting) for name in missing)


async def test_what_a_model_lacks_is_found_before_and_nothing_is_kept(
    namespace: Namespace, platform: KServePlatform
) -> None:
    wanted = copy.deepcopy(manifest("well"))
    model = wanted["spec"]["predictor"]["model"]
    model["env"] = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "t"}}}]
    model["resources"] = {"limits": {"nvidia.com/gpu": "64"}}
    found = await examined(platform, wanted)
    assert (found["secret:hf-token"].status, found["gpu-capacity"].status) == ("fail", "fail")
    tried = {one.name: one.status for one in await platform.dry_run(wanted)}
    assert tried == {
        "host-name": "ok", "runtime": "ok", "storage": "ok", "secret:hf-token": "fail", "gpu-capacity": "fail",
        "admission": "ok",
    }  # fmt: skip
    assert await namespace.isvc() is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"minReplicas": 3, "maxReplicas": 2}, "admission refuses"),
        ({"nonsense": 1}, "does not know what was asked"),
    ],
    ids=["webhook", "schema"],
)
async def test_what_admission_refuses_is_told_without_asking_for_it(
    namespace: Namespace, platform: KServePlatform, change: dict[str, int], said: str
) -> None:
    wanted = copy.deepcopy(manifest("well"))
    wanted["spec"]["predictor"] |= change
    admission = (await platform.dry_run(wanted))[-1]
    assert (admission.name, admission.status, said in admission.sentence) == ("admission", "fail", True), (
        admission
    )
    assert await namespace.isvc() is None


async def test_an_unbound_claim(namespace: Namespace, account: Path) -> None:
    await namespace.claim("pending", bound=False)
    platform = open_platform(account, namespace.name, claim="pending", weights_there=lambda folder: True)
    try:
        found = (await examined(platform))["claim:pending"]
    finally:
        await platform.aclose()
    assert (found.status, found.command) == ("fail", f"kubectl -n {namespace.name} describe pvc pending")


async def test_the_routes_of_a_service_on_a_cluster(namespace: Namespace, tmp_path: Path) -> None:
    """`/models/test` and `/catalog/validate` answer from the same findings as the doctor."""
    await prepare(namespace, tmp_path, {"good": "well"})
    async with house(namespace, tmp_path) as h:
        status, told = await h.call("GET", "/system/doctor")
        found = {one["name"]: one["status"] for one in told["findings"]}
        assert (status, found["claim:weights"], found["weights-folder"], found["runtime"]) == (
            200,
            "ok",
            "ok",
            "ok",
        )
        secret = {"secretKeyRef": {"name": "hf-token", "key": "t"}}
        entry = {
            "id": "new",
            "runtime": "well",
            "hfModelId": "a/b",
            "env": [{"name": "T", "valueFrom": secret}],
        }
        status, answer = await h.call("POST", "/catalog/validate", entry)
        checks = {one["name"]: one["status"] for one in answer["checks"]}
        assert (status, checks["secret:hf-token"], checks["admission"]) == (400, "fail", "pass"), answer
        status, answer = await h.call("POST", "/models/test", {"id": "good"})
        assert (status, answer["status"], answer["dryRun"]["action"]) == (200, "success", "create"), answer
        assert await namespace.isvc() is None
