"""What is found out before the old model is stopped; what may not be read is unknown and stops nobody."""

import copy
from typing import Any

import pytest

from model_manager.errors import ModelManagerError, Unavailable
from model_manager.serving.kserve.capacity import quantity
from model_manager.serving.manifest import SECRET_ANNOTATIONS
from model_manager.serving.platform import Manifest
from tests.serving.ground import RUNTIMES, manifest
from tests.serving.kserve.conftest import Connect
from tests.serving.kserve.fake_api import FakeApi
from tests.serving.kserve.fake_kserve import FakeKServe


def wanting(runtime: str = "well", **model: Any) -> Manifest:
    made = copy.deepcopy(manifest(runtime))
    made["spec"]["predictor"]["model"] |= model
    return made


def with_pod(**fields: Any) -> Manifest:
    made = wanting(resources={"limits": {"nvidia.com/gpu": "1"}})
    made["spec"]["predictor"] |= fields
    return made


def keyed(how: str, name: str) -> list[dict[str, Any]]:
    return [{"name": "T", "valueFrom": {how: {"name": name, "key": "k"}}}]


SECRET = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "hf-token", "key": "token"}}}]

NEVER = [
    ("runtime_missing", wanting("nope"), "There is no serving runtime called 'nope'."),
    ("runtime_disabled", wanting("off"), "The serving runtime 'off' is disabled."),
    ("runtime_unfit", wanting(modelFormat={"name": "onnx"}), "does not support the model format 'onnx'."),
    (
        "runtime_unfit",
        wanting("unnamed-ports"),
        "no Service of the serving runtime unnamed-ports: its ports 9000 have no",
    ),
    (
        "claim_missing",
        wanting(storageUri="pvc://absent/x"),
        "The volume claim absent does not exist in the namespace default.",
    ),
    (
        "claim_unbound",
        wanting(storageUri="pvc://pending/x"),
        "The volume claim pending is not bound to a volume; it is Pending.",
    ),
    ("weights_missing", wanting(storageUri="pvc://ours/gone"), "the claim ours has no folder gone."),
    ("secret_missing", wanting(env=SECRET), "The secret hf-token does not exist in the namespace default."),
    ("secret_missing", wanting("wants-secret"), "The secret of-the-runtime does not exist"),
    (
        "key_missing",
        wanting(env=keyed("secretKeyRef", "keyed")),
        "The secret keyed in the namespace default has no key k.",
    ),
    (
        "key_missing",
        wanting(env=keyed("configMapKeyRef", "map")),
        "The ConfigMap map in the namespace default has no key k.",
    ),
    (
        "config_map_missing",
        with_pod(volumes=[{"name": "v", "configMap": {"name": "templates"}}]),
        "The ConfigMap templates does not exist",
    ),
    (
        "claim_missing",
        with_pod(volumes=[{"name": "v", "persistentVolumeClaim": {"claimName": "cache"}}]),
        "The volume claim cache",
    ),
    (
        "no_node",
        wanting(resources={"limits": {"nvidia.com/gpu": "2"}}),
        "it asks for 2 nvidia.com/gpu, and gpu-1 has 1.",
    ),
    (
        "no_node",
        wanting(resources={"requests": {"memory": "33Gi"}}),
        "it asks for 33Gi memory, and gpu-1 has 32Gi.",
    ),
    ("no_node", with_pod(nodeSelector={"zone": "b"}), "gpu-1 is not labelled zone=b."),
]


@pytest.fixture
def cluster(api: FakeApi, kserve: FakeKServe) -> FakeApi:
    off = copy.deepcopy(RUNTIMES["well"]) | {"metadata": {"name": "off"}}
    off["spec"] = {**off["spec"], "disabled": True}
    kserve.add_runtime(off)
    secret = copy.deepcopy(RUNTIMES["well"]) | {"metadata": {"name": "wants-secret"}}
    secret["spec"]["containers"][0]["env"] = [
        {"name": "K", "valueFrom": {"secretKeyRef": {"name": "of-the-runtime", "key": "k"}}}]  # fmt: skip
    kserve.add_runtime(secret)
    ports = copy.deepcopy(RUNTIMES["well"]) | {"metadata": {"name": "unnamed-ports"}}
    ports["spec"]["containers"][0]["ports"] = [{"containerPort": 8080}, {"containerPort": 9000}]
    kserve.add_runtime(ports)
    api.store.put(("secrets", "default", "keyed"), {"data": {"other": "aGY="}})
    api.store.put(("configmaps", "default", "map"), {"data": {"other": "x"}, "binaryData": {"b": "eA=="}})
    for name, phase in (("pending", "Pending"), ("ours", "Bound")):
        api.store.put(("persistentvolumeclaims", "default", name), {"status": {"phase": phase}})
    return api


@pytest.mark.parametrize(("code", "wanted", "said"), NEVER)
async def test_what_can_never_start_is_refused_before_anything_is_changed(
    cluster: FakeApi, connect: Connect, code: str, wanted: Manifest, said: str
) -> None:
    platform = connect(claim="ours", weights=lambda folder: folder != "gone")
    with pytest.raises(ModelManagerError) as refused:
        await platform.check(wanted)
    assert said in refused.value.sentence
    assert refused.value.data["cause"] == code, "as `why` calls it"
    assert refused.value.status < 500
    assert refused.value.hint
    assert cluster.count("patch", "inferenceservices") == 0


@pytest.mark.parametrize(
    ("plural", "wanted"),
    [
        ("servingruntimes", wanting("nope")),
        ("persistentvolumeclaims", wanting(storageUri="pvc://absent/x")),
        ("secrets", wanting(env=SECRET)),
    ],
)
async def test_a14_what_may_not_be_read_is_unknown(
    cluster: FakeApi, connect: Connect, plural: str, wanted: Manifest
) -> None:
    cluster.forbid("get", plural)
    await connect().check(wanted)


async def test_a14_without_the_right_to_see_nodes_their_size_is_unknown(
    cluster: FakeApi, connect: Connect
) -> None:
    cluster.forbid("list", "nodes")
    await connect().check(wanting(resources={"limits": {"nvidia.com/gpu": "2"}}))


async def test_names_that_kserve_makes_too_long_a_host_name_of(cluster: FakeApi, connect: Connect) -> None:
    """Seen with KServe 0.20: it says so in an event, makes nothing and tries again for ever."""
    with pytest.raises(ModelManagerError, match="has 64 characters"):
        await connect().check(manifest(slot="s" * (64 - len("-predictor-default"))))
    await connect().check(manifest(slot="s" * (63 - len("-predictor-default"))))


async def test_an_optional_secret_need_not_be_there(cluster: FakeApi, connect: Connect) -> None:
    optional = [{"name": "T", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "t", "optional": True}}}]
    await connect().check(wanting(env=optional))


async def test_keys_that_are_there_or_may_be_missing(cluster: FakeApi, connect: Connect) -> None:
    there = [*keyed("secretKeyRef", "keyed"), *keyed("configMapKeyRef", "map")]
    there[0]["valueFrom"]["secretKeyRef"]["key"] = "other"
    there[1]["valueFrom"]["configMapKeyRef"]["key"] = "b"
    optional = keyed("secretKeyRef", "keyed")
    optional[0]["valueFrom"]["secretKeyRef"]["optional"] = True
    platform = connect()
    await platform.check(wanting(env=[*there, *optional]))
    found = {one.name: one for one in await platform.dry_run(wanting(env=[*there, *optional]))}
    assert (found["configmap:map"].status, found["secret:keyed"].status) == ("ok", "warn")
    assert found["secret:keyed"].sentence.endswith("has no key k. The model starts without it.")


async def test_a_runtime_of_the_whole_cluster_counts(cluster: FakeApi, connect: Connect) -> None:
    cluster.store.put(("clusterservingruntimes", "", "shared"), RUNTIMES["well"])
    await connect().check(wanting("shared"))


async def test_the_secret_for_the_hub_must_be_there_with_its_key(cluster: FakeApi, connect: Connect) -> None:
    wanted = wanting(storageUri="hf://owner/name")
    wanted["metadata"]["annotations"] = dict.fromkeys(SECRET_ANNOTATIONS, "hub")
    with pytest.raises(ModelManagerError, match="The secret hub does not exist"):
        await connect().check(wanted)
    cluster.store.put(("secrets", "default", "hub"), {"data": {"token": "aGY="}})
    with pytest.raises(
        ModelManagerError, match="The secret hub in the namespace default has no key HF_TOKEN"
    ):
        await connect().check(wanted)
    cluster.store.put(("secrets", "default", "hub"), {"data": {"HF_TOKEN": "aGY="}})
    await connect().check(wanted)


async def test_a_taint_needs_a_toleration(cluster: FakeApi, connect: Connect) -> None:
    node = copy.deepcopy(cluster.store.get(("nodes", "", "gpu-1")))
    taint = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
    node["spec"] = {"taints": [taint, {"key": "node.kubernetes.io/not-ready", "effect": "NoExecute"}]}
    cluster.store.put(("nodes", "", "gpu-1"), node)
    with pytest.raises(ModelManagerError, match=r"gpu-1 is reserved for others \(taint gpu\)"):
        await connect().check(with_pod())
    await connect().check(with_pod(tolerations=[{"key": "gpu", "operator": "Exists"}]))


async def test_a_cluster_that_does_not_answer_is_no_reason_to_refuse(
    cluster: FakeApi, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model_manager.serving.kserve.api.TRIES", 1)
    cluster.fail(503, "ServiceUnavailable", "starting", times=9, match=lambda asked: asked.plural == "nodes")
    with pytest.raises(Unavailable):
        await connect().check(wanting())


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        (2, 2),
        ("500m", 0.5),
        ("1Ki", 1024),
        ("1.5Gi", 1.5 * 2**30),
        ("3k", 3000),
        ("2e3", 2000),
        ("x", 0),
    ],
)
def test_quantities(text: object, number: float) -> None:
    assert quantity(text) == number
