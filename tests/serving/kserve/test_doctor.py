"""What the doctor says of a cluster: each thing found well, missing, and unknown, with what mends it."""

from typing import Any

import pytest

from model_manager.serving.findings import Finding
from model_manager.serving.kserve.installed import FLAGS
from model_manager.serving.kserve.rights import RIGHTS, Right
from model_manager.serving.platform import Manifest
from tests.serving.ground import SLOT, manifest, ready
from tests.serving.kserve.conftest import Connect
from tests.serving.kserve.fake_api import FakeApi
from tests.serving.kserve.fake_kserve import FakeKServe
from tests.serving.kserve.test_preflight import SECRET, wanting
from tests.waiting import until


@pytest.fixture
def cluster(api: FakeApi, kserve: FakeKServe) -> FakeApi:
    api.serve_kinds("serving.kserve.io/v1beta1", "inferenceservices")
    api.serve_kinds("serving.kserve.io/v1alpha1", "servingruntimes", "clusterservingruntimes")
    return api


async def examined(connect: Connect, manifests: dict[str, Manifest] | None = None) -> dict[str, Finding]:
    findings = await connect(claim="some-claim").examine(
        {"demo": manifest()} if manifests is None else manifests
    )
    return {finding.name: finding for finding in findings}


async def test_a_cluster_where_all_is_well(cluster: FakeApi, connect: Connect) -> None:
    found = await examined(connect)
    assert {finding.status for finding in found.values()} == {"ok"}, found
    assert found["kubernetes"].sentence == "Kubernetes v1.34.4 answers."
    assert found["kserve"].sentence.startswith("KServe 0.")
    assert found["gpus"].sentence == "GPUs can be had: 1 nvidia.com/gpu on gpu-1."
    assert "well" in found["runtimes"].sentence
    assert found["knative"].sentence == "Knative is not installed; nothing here needs it."
    assert {right.name for right in RIGHTS} < found.keys()
    assert {
        "crd:inferenceservices.serving.kserve.io",
        "claim:some-claim",
        "runtime",
        "gpu-capacity",
    } < found.keys()


@pytest.mark.parametrize("right", RIGHTS, ids=lambda right: right.name)
async def test_every_right_is_asked_for_and_the_command_grants_it(
    cluster: FakeApi, connect: Connect, right: Right
) -> None:
    resource = "/".join(filter(None, (right.kind.plural, right.subresource)))
    cluster.denied.add((right.verbs[-1], resource))
    found = (await examined(connect, {}))[right.name]
    assert found.status == ("fail" if right.vital else "warn")
    assert f"may not {right.verbs[-1]} {right.resource}: {right.without}." in found.sentence
    scope = "role" if right.kind.namespaced else "clusterrole"
    assert f" create {scope} " in found.command
    assert f"--verb={','.join(right.verbs)} --resource={right.resource}" in found.command
    assert f" create {scope}binding " in found.command
    assert found.command.endswith(" --serviceaccount=default:model-manager")


async def test_each_right_that_is_used_is_among_those_that_are_asked_for(
    cluster: FakeApi, connect: Connect
) -> None:
    """Whatever the platform asked of the API server in these tests, the doctor knows as a right."""
    platform = connect(claim="some-claim")
    await platform.check(manifest())
    await platform.apply(manifest())
    await ready(platform)
    await platform.logs(SLOT, 1)
    await platform.delete(SLOT)
    await until(lambda: all(cluster.watches(plural) for plural in ("inferenceservices", "pods", "events")))
    known = {(verb, right.kind.plural, right.subresource) for right in RIGHTS for verb in right.verbs}
    used = {(asked.verb, asked.plural, asked.sub) for asked in cluster.asked if asked.plural}
    assert used <= known, used - known
    assert {("watch", "events", ""), ("get", "pods", "log"), ("delete", "inferenceservices", "")} < used


async def test_without_kserve_it_is_to_be_installed(cluster: FakeApi, connect: Connect) -> None:
    cluster.missing_kinds = {"inferenceservices", "servingruntimes", "clusterservingruntimes"}
    for version in ("v1beta1", "v1alpha1"):
        del cluster.documents[f"/apis/serving.kserve.io/{version}"]
    found = await examined(connect)
    missing = found["crd:inferenceservices.serving.kserve.io"]
    assert (missing.status, missing.command.split()[:2]) == ("fail", ["kubectl", "apply"])
    assert found["crd:clusterservingruntimes.serving.kserve.io"].status == "warn"
    assert found["models"].status == "fail"
    assert found["runtimes"].status == "fail"


@pytest.mark.parametrize(
    ("data", "status", "said"),
    [
        (dict.fromkeys(FLAGS, "Enabled"), "ok", "Knative allows"),
        (dict.fromkeys(FLAGS[1:], "allowed"), "warn", f"feature flags {FLAGS[0]} are not enabled"),
        ({}, "warn", ", ".join(FLAGS)),
    ],
)
async def test_knatives_feature_flags(
    cluster: FakeApi, connect: Connect, data: dict[str, str], status: str, said: str
) -> None:
    cluster.serve_kinds("serving.knative.dev/v1", "services")
    cluster.store.put(("configmaps", "knative-serving", "config-features"), {"data": data})
    found = (await examined(connect, {}))["knative"]
    assert (found.status, said in found.sentence) == (status, True), found
    assert ("kubectl -n knative-serving patch configmap config-features" in found.command) == (
        status == "warn"
    )


async def test_what_may_not_be_read_is_unknown(cluster: FakeApi, connect: Connect) -> None:
    cluster.serve_kinds("serving.knative.dev/v1", "services")
    for verb, plural in (("get", "configmaps"), ("get", "persistentvolumeclaims"), ("list", "nodes")):
        cluster.forbid(verb, plural)
    found = await examined(connect)
    for name in ("knative", "claim:some-claim", "gpus", "storage", "gpu-capacity"):
        assert (found[name].status, bool(found[name].hint)) == ("unknown", True), found[name]
    assert found["runtime"].status == "ok"


async def test_an_admission_that_does_not_answer(
    cluster: FakeApi, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_manager.serving.kserve.api.TRIES", 1)
    message = 'failed calling webhook "inferenceservice.kserve-webhook-server.defaulter": connection refused'
    cluster.fail(500, "InternalError", message, match=lambda asked: asked.verb == "patch", times=9)
    found = (await examined(connect, {}))["kserve"]
    assert (found.status, found.command) == ("warn", "kubectl -n kserve get pods")
    assert "A webhook of the cluster does not answer" in found.sentence


async def test_a_claim_without_a_volume(cluster: FakeApi, connect: Connect) -> None:
    cluster.store.put(("persistentvolumeclaims", "default", "some-claim"), {"status": {"phase": "Pending"}})
    found = (await examined(connect, {}))["claim:some-claim"]
    assert (found.status, found.command) == ("fail", "kubectl -n default describe pvc some-claim")


async def test_no_gpu_and_no_runtime(cluster: FakeApi, connect: Connect) -> None:
    cluster.store.put(
        ("nodes", "", "gpu-1"), {"status": {"allocatable": {"cpu": "8", "nvidia.com/gpu": "0"}}}
    )
    for key in [key for key in cluster.store.objects if key[0] == "servingruntimes"]:
        cluster.store.delete(key)
    found = await examined(connect, {})
    assert (found["gpus"].status, found["runtimes"].status) == ("warn", "fail")
    assert found["runtimes"].command.endswith("/llama-cpp.yaml")


async def test_what_many_models_need_is_said_once_with_their_names(
    cluster: FakeApi, connect: Connect
) -> None:
    models: dict[str, Any] = {f"m{number}": wanting(env=SECRET) for number in range(8)}
    findings = await connect().examine({**models, "well": manifest()})
    told = [finding for finding in findings if finding.name == "secret:hf-token"]
    assert len(told) == 1
    assert told[0].status == "warn"  # `well` can be served
    assert told[0].sentence.endswith("Needed by m0, m1, m2, m3, m4 and 3 more.")
    assert cluster.count("get", "secrets") == 1


async def test_a_cluster_that_does_not_answer_is_one_finding(cluster: FakeApi, connect: Connect) -> None:
    platform = connect()
    await cluster.stop()
    findings = await platform.examine({"demo": manifest()})
    assert [(finding.name, finding.status) for finding in findings] == [("kubernetes", "fail")]
    assert findings[0].command


async def test_a_dry_run_says_what_is_well_and_what_admission_says(
    cluster: FakeApi, connect: Connect
) -> None:
    platform = connect()
    found = {one.name: one.status for one in await platform.dry_run(manifest())}
    assert found == {
        "host-name": "ok",
        "runtime": "ok",
        "storage": "ok",
        "gpu-capacity": "ok",
        "admission": "ok",
    }
    message = 'admission webhook "isvc.kserve" denied the request: it is not wanted'
    cluster.fail(403, "Forbidden", message, match=lambda asked: asked.verb == "patch")
    refused = (await platform.dry_run(manifest()))[-1]
    assert (refused.status, refused.sentence) == (
        "fail",
        "The cluster's admission refuses it: it is not wanted.",
    )
    cluster.forbid("patch", "inferenceservices")
    refused = (await platform.dry_run(manifest()))[-1]
    assert (refused.status, "may not patch inferenceservices" in refused.sentence) == ("fail", True)
    assert "inferenceservices" not in {key[0] for key in cluster.store.objects}


async def test_a_dry_run_without_an_answer_is_unknown(cluster: FakeApi, connect: Connect) -> None:
    platform = connect()
    await cluster.stop()
    assert [(one.name, one.status) for one in await platform.dry_run(manifest())] == [("cluster", "unknown")]
