"""What the adapter does when others write too, when answers are lost, and when the cluster is not as it should be."""

import asyncio
import copy
from collections.abc import Awaitable, Callable

import pytest

from model_manager.errors import Conflict, Forbidden, ModelManagerError, Unavailable, Unprocessable
from model_manager.serving.platform import ACTIVATION_LABEL, ADOPT_ANNOTATION, Difference, Manifest, Observed
from tests.serving import ground
from tests.serving.ground import SLOT, manifest
from tests.serving.kserve.conftest import Connect
from tests.serving.kserve.fake_api import Asked, FakeApi, Fault
from tests.serving.kserve.fake_kserve import FakeKServe
from tests.serving.kserve.fake_store import Key, Object
from tests.waiting import until

KEY: Key = ("inferenceservices", "default", SLOT)


def foreign(api: FakeApi, runtime: str = "well", manager: str = "kubectl-create") -> Object:
    """An InferenceService that somebody else made."""
    made = manifest(runtime)
    made["metadata"]["labels"] = {"team": "a"}
    made["spec"]["predictor"]["labels"] = {}
    return api.store.put(KEY, made, manager=manager)


async def _at_once(seconds: float, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    await sleep(0)


def adopting(activation: str) -> Manifest:
    made = manifest(activation=activation)
    made["metadata"]["annotations"] = {ADOPT_ANNOTATION: "true"}
    return made


async def test_a7_an_apply_whose_answer_was_lost_is_made_once(api: FakeApi, connect: Connect) -> None:
    api.faults.append(Fault(lambda asked: asked.verb == "patch", "lose"))
    platform = connect()
    await platform.apply(manifest())
    await ground.ready(platform)
    assert api.count("patch", "inferenceservices") == 2
    assert len(api.store.find("pods", "default")) == 1


async def test_a5_a_write_that_met_another_is_made_again_and_keeps_what_the_other_wrote(
    api: FakeApi, connect: Connect
) -> None:
    platform = connect()
    await platform.apply(manifest(activation="a"))
    await ground.ready(platform)

    def overtaken(asked: Asked) -> bool:
        if asked.verb != "patch":
            return False
        api.store.merge(KEY, {"metadata": {"labels": {"team": "theirs"}}}, "kubectl-label")
        return True

    said = "Operation cannot be fulfilled: the object has been modified; please apply your changes"
    api.fail(409, "Conflict", said, match=overtaken, times=4)
    await platform.apply(manifest(activation="b"))
    assert api.store.get(KEY)["metadata"]["labels"] == {ACTIVATION_LABEL: "b", "team": "theirs"}
    api.fail(409, "Conflict", said, match=lambda asked: asked.verb == "patch", times=5)
    with pytest.raises(Conflict, match="was changed meanwhile"):
        await platform.apply(manifest(activation="c"))


async def test_a8_what_is_still_being_deleted_is_waited_for_by_name_of_its_finalizers(
    api: FakeApi, connect: Connect
) -> None:
    """A10 too: what holds it is said, and never stripped."""
    platform = connect()
    await platform.apply(manifest(activation="a"))
    await ground.ready(platform)
    held = copy.deepcopy(api.store.get(KEY))
    held["metadata"]["finalizers"].append("example.com/backup")
    api.store.put(KEY, held)
    await platform.delete(SLOT)
    seen = await ground.observed_when(platform, lambda seen: not seen.instances)
    assert (seen.activation, seen.trouble and seen.trouble.code) == (None, "deleting")
    with pytest.raises(Unavailable, match=r"being deleted; held by .*example.com/backup"):
        await platform.apply(manifest(activation="b"))
    api.store.release(KEY, "example.com/backup")
    await until(lambda: KEY not in api.store.objects)
    await ground.empty(platform)
    await platform.apply(manifest(activation="b"))
    assert (await ground.ready(platform)).activation == "b"


async def test_a9_a_delete_does_not_hit_what_was_made_anew(api: FakeApi, connect: Connect) -> None:
    platform = connect()
    await platform.apply(manifest(activation="a"))
    await ground.ready(platform)
    before = api.store.get(KEY)["metadata"]["uid"]
    api.faults.append(
        Fault(lambda asked: _make_anew(api) if asked.verb == "delete" else False, "none", times=1)
    )
    await platform.delete(SLOT)
    assert api.store.get(KEY)["metadata"]["uid"] != before
    assert "deletionTimestamp" not in api.store.get(KEY)["metadata"]


def _make_anew(api: FakeApi) -> bool:
    api.store.objects[KEY] = copy.deepcopy(api.store.objects[KEY])
    api.store.objects[KEY]["metadata"]["uid"] = "another"
    return True


async def test_a15_without_kserve_that_is_said(api: FakeApi, connect: Connect) -> None:
    api.missing_kinds.add("inferenceservices")
    platform = connect()
    with pytest.raises(Unavailable, match=r"The cluster has no inferenceservices.serving.kserve.io"):
        await platform.observe(SLOT)
    with pytest.raises(ModelManagerError, match="The cluster has no"):
        await platform.apply(manifest())
    assert platform.problems() == ["The cluster has no inferenceservices.serving.kserve.io."]


async def test_a15_what_a_webhook_says_is_the_sentence_and_nothing_is_changed(
    api: FakeApi, connect: Connect
) -> None:
    platform = connect()
    await platform.apply(manifest(activation="a"))
    before = await ground.ready(platform)
    said = 'admission webhook "v.kserve" denied the request: parallelism cannot be less than 0'
    api.fail(403, "Forbidden", said, match=lambda asked: asked.query.get("dryRun") == "All")
    with pytest.raises(Unprocessable, match="parallelism cannot be less than 0"):
        await platform.check(manifest(activation="b"))
    assert (await platform.observe(SLOT)).instances == (before,)


@pytest.mark.parametrize(
    ("message", "said", "cause"),
    [
        ("unable to create new content in namespace default because it is being terminated",
         "The namespace is being deleted", "namespace_leaving"),
        ("exceeded quota: services, requested: count/inferenceservices.serving.kserve.io=1, used: 1, limited: 1",
         "quota does not allow it", "quota"),
    ],
)  # fmt: skip
async def test_a16_no_hot_loop_where_the_namespace_takes_nothing(
    api: FakeApi, connect: Connect, message: str, said: str, cause: str
) -> None:
    refused = f'inferenceservices.serving.kserve.io "active-llm" is forbidden: {message}'
    api.fail(403, "Forbidden", refused, match=lambda asked: asked.verb == "patch", times=99)
    with pytest.raises(Conflict, match=said) as e:
        await connect().apply(manifest())
    assert e.value.data["cause"] == cause
    assert api.count("patch", "inferenceservices") == 1


async def test_a11_a_storm_of_500_is_asked_three_times_and_a_long_wait_not_sat_out(
    api: FakeApi, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform = connect()
    monkeypatch.setattr("asyncio.sleep", _at_once)
    api.fail(500, "InternalError", "etcd is unhappy", match=lambda asked: asked.verb == "patch", times=99)
    with pytest.raises(Unavailable, match="answered 500: etcd is unhappy"):
        await platform.apply(manifest())
    monkeypatch.undo()
    assert api.count("patch", "inferenceservices") == 3
    api.faults.clear()
    api.fail(503, "ServiceUnavailable", "later", match=lambda asked: asked.verb == "patch", retry_after=60)
    with pytest.raises(Unavailable) as told:
        await platform.apply(manifest())
    assert told.value.data["retry_after"] == 60
    assert api.count("patch", "inferenceservices") == 4


async def test_a14_logs_that_may_not_be_read_name_the_right(api: FakeApi, connect: Connect) -> None:
    platform = connect()
    await platform.apply(manifest())
    await ground.ready(platform)
    api.forbid("get", "pods")
    with pytest.raises(Forbidden, match="may not get pods"):
        await platform.logs(SLOT, 5)
    assert (await platform.observe(SLOT)).instances[0].ready


async def test_a11_reads_of_a_slot_need_no_server(api: FakeApi, connect: Connect) -> None:
    """A13 too: what serves is known while the API server is away."""
    platform = connect()
    await platform.apply(manifest())
    await ground.ready(platform)
    await api.stop()
    assert (await platform.observe(SLOT)).instances[0].ready
    with pytest.raises(Unavailable, match="cannot be reached"):
        await platform.apply(manifest(activation="b"))
    await api.start()


async def test_a17_what_others_made_is_never_touched(api: FakeApi, connect: Connect) -> None:
    foreign(api)
    platform = connect()
    await until(lambda: api.store.find("pods", "default"))
    before = api.store.get(KEY)["spec"]
    for verb in (platform.check, platform.apply):
        with pytest.raises(Conflict, match="was made by kubectl-create, not by this service"):
            await verb(manifest())
    await platform.delete(SLOT)
    assert api.store.get(KEY)["spec"] == before
    assert (await platform.observe(SLOT)).activation is None


async def test_a17_what_others_make_in_the_same_moment_is_not_taken_from_them(
    api: FakeApi, connect: Connect
) -> None:
    platform = connect()

    def overtaken(asked: Asked) -> bool:
        if asked.verb == "patch" and KEY not in api.store.objects:
            made = foreign(api)
            made["spec"]["predictor"]["model"]["storageUri"] = "pvc://theirs/model"
        return False

    api.faults.append(Fault(overtaken))
    with pytest.raises(Conflict, match="is managed by kubectl-create"):
        await platform.apply(manifest())
    assert api.store.get(KEY)["spec"]["predictor"]["model"]["storageUri"] == "pvc://theirs/model"


@pytest.mark.parametrize("anew", [True, False])
async def test_a17_what_takes_the_place_of_ours_in_the_same_moment_is_not_written_to(
    api: FakeApi, connect: Connect, anew: bool
) -> None:
    """Nor is one that somebody deleted made again: the next look says what is to be done."""
    platform = connect()
    await platform.apply(manifest(activation="a"))

    def replaced(asked: Asked) -> bool:
        if asked.verb == "patch":
            api.store.objects.pop(KEY, None)
            if anew:
                foreign(api, "late")
        return False

    fault = Fault(replaced)
    api.faults.append(fault)
    for verb in (platform.check, platform.apply):
        with pytest.raises(Unavailable, match="another one has its name, or none"):
            await verb(manifest(activation="b"))
        if anew:
            assert api.store.get(KEY)["spec"]["predictor"]["model"]["runtime"] == "late"
            assert ACTIVATION_LABEL not in api.store.get(KEY)["metadata"]["labels"]
        assert (KEY in api.store.objects) is anew
        api.faults.remove(fault)
        api.store.objects.pop(KEY, None)
        await platform.apply(manifest(activation="a"))
        api.faults.append(fault)


async def test_names_that_are_gone_are_not_remembered(api: FakeApi, connect: Connect) -> None:
    platform = connect()
    await platform.observe(SLOT)
    for name in ("one", "two"):
        await platform.apply(manifest("never-ready", slot=name))
        await ground.observed_when(platform, lambda seen: seen.instances, name)
    assert set(platform._told) == {"one", "two"}
    platform._since["one"] = ("key", "code", 0.0)
    for name in ("one", "two"):
        await platform.delete(name)
    await until(lambda: (platform._told, platform._since) == ({}, {}))


async def test_g8_ours_without_its_label_is_ours_still(api: FakeApi, connect: Connect) -> None:
    platform = connect()
    await platform.apply(manifest(activation="a"))
    api.store.merge(KEY, {"metadata": {"labels": {ACTIVATION_LABEL: None}}}, "kubectl-label")
    await platform.apply(manifest(activation="a"))
    assert api.store.get(KEY)["metadata"]["labels"] == {ACTIVATION_LABEL: "a"}


async def test_adopting_restarts_no_pod_and_the_next_switch_stamps_them(
    api: FakeApi, connect: Connect
) -> None:
    foreign(api)
    await until(lambda: [pod for pod in api.store.find("pods", "default") if pod["status"].get("podIP")])
    uid = api.store.find("pods", "default")[0]["metadata"]["uid"]
    platform = connect()
    await platform.check(adopting("mine"))
    await platform.apply(adopting("mine"))
    instance = await ground.ready(platform)
    assert (instance.activation, (await platform.observe(SLOT)).activation) == ("mine", "mine")
    assert [pod["metadata"]["uid"] for pod in api.store.find("pods", "default")] == [uid]
    again = connect()  # a restart knows it by the object alone
    assert (await ground.ready(again)).activation == "mine"
    await again.apply(manifest(activation="next"))
    assert (await ground.instance_when(again, lambda one: one.activation == "next" and one.ready)).ready
    pods = api.store.find("pods", "default")
    assert [pod["metadata"]["labels"].get(ACTIVATION_LABEL) for pod in pods] == ["next"]


async def test_what_was_taken_over_is_given_back_as_it_was(api: FakeApi, connect: Connect) -> None:
    spec = copy.deepcopy(foreign(api)["spec"])
    platform = connect()
    await platform.apply(adopting("mine"))
    before = await ground.ready(platform)
    await platform.release(SLOT)
    assert (await platform.observe(SLOT)).activation is None
    assert api.store.get(KEY)["spec"] == spec
    assert [one["manager"] for one in api.store.get(KEY)["metadata"]["managedFields"]] == ["kubectl-create"]
    assert (await platform.observe(SLOT)).instances[0].name == before.name
    assert (await platform.foreign(SLOT) or {})["spec"] == spec


async def test_a_restart_adopts_everything_from_the_labels(connect: Connect) -> None:
    first = connect()
    await first.apply(manifest(activation="a"))
    before = await ground.ready(first)
    second = connect()
    seen = await second.observe(SLOT)
    assert (seen.activation, seen.instances) == ("a", (before,))
    applied = await second.applied(SLOT)
    assert applied is not None
    assert applied["metadata"]["labels"] == {ACTIVATION_LABEL: "a"}
    assert second.drift(applied) == ()
    await second.apply(applied)
    assert (await ground.ready(second)).name == before.name


async def test_g8_a_change_by_others_is_drift_field_by_field_and_put_back(
    api: FakeApi, connect: Connect
) -> None:
    platform = connect()
    mine = manifest(activation="a")
    mine["spec"]["predictor"]["model"]["args"] = ["--x"]
    await platform.apply(mine)
    await ground.ready(platform)
    assert platform.drift(mine) == ()
    change = {"spec": {"predictor": {"model": {"args": ["--y"]}, "nodeSelector": {"a": "b"}}}}
    api.store.merge(KEY, change, "kubectl-edit")
    await until(lambda: platform.drift(mine))
    assert sorted(platform.drift(mine), key=lambda one: one.field) == [
        Difference("spec.predictor.model.args", ["--x"], ["--y"], "kubectl-edit"),
        Difference("spec.predictor.nodeSelector.a", None, "b", "kubectl-edit"),
    ]
    await platform.apply(mine)
    assert api.store.get(KEY)["spec"]["predictor"]["model"]["args"] == ["--x"]


async def test_g8_what_others_delete_is_seen_to_be_gone_and_made_again(
    api: FakeApi, connect: Connect
) -> None:
    platform = connect()
    await platform.apply(manifest(activation="a"))
    before = await ground.ready(platform)
    api.store.delete(KEY)
    await ground.empty(platform)
    await platform.apply(manifest(activation="a"))
    assert (await ground.ready(platform)).name != before.name


async def test_a6_what_others_hold_is_taken_back_and_the_rest_of_theirs_kept(
    api: FakeApi, connect: Connect
) -> None:
    platform = connect()
    await platform.apply(manifest(activation="a"))
    theirs = {"spec": {"predictor": {"model": {"storageUri": "pvc://x/y"}, "nodeSelector": {"a": "b"}}}}
    api.store.merge(KEY, theirs, "argocd-controller")
    await platform.apply(manifest(activation="b"))
    predictor = api.store.get(KEY)["spec"]["predictor"]
    assert predictor["model"]["storageUri"] == "pvc://some-claim/scripted-model"
    assert predictor["nodeSelector"] == {"a": "b"}


async def test_a6_where_drift_is_kept_a_conflict_names_who_holds_which_field(
    api: FakeApi, connect: Connect
) -> None:
    platform = connect(repair=False)
    await platform.apply(manifest(activation="a"))
    api.store.merge(KEY, {"spec": {"predictor": {"model": {"storageUri": "pvc://x/y"}}}}, "argocd-controller")
    with pytest.raises(Conflict, match=r"managed by argocd-controller in .spec.predictor.model.storageUri"):
        await platform.apply(manifest(activation="b"))


async def test_g1_ready_of_the_service_is_not_believed(
    api: FakeApi, kserve: FakeKServe, connect: Connect
) -> None:
    kserve.behaviours["well"] = "pending"
    platform = connect()
    await platform.apply(manifest())
    status = {
        "conditions": [{"type": "Ready", "status": "True"}],
        "modelStatus": {"transitionStatus": "UpToDate"},
    }
    await until(lambda: api.store.find("pods", "default"))
    api.store.put(KEY, {**api.store.get(KEY), "status": status})
    seen = await ground.observed_when(platform, lambda seen: seen.instances)
    assert [(one.state, one.ready) for one in seen.instances] == [("starting", False)]


async def test_g2_a_crash_loop_under_a_ready_service_is_told_from_its_pod(
    api: FakeApi, kserve: FakeKServe, connect: Connect
) -> None:
    platform = connect()
    await platform.apply(manifest())
    await ground.ready(platform)
    ended = {"exitCode": 3, "reason": "Error", "message": "no such model"}
    kserve.change_pod(
        kserve.pods(SLOT)[0],
        containerStatuses=[{
            "name": "kserve-container", "ready": False, "restartCount": 2,
            "state": {"waiting": {"reason": "CrashLoopBackOff"}}, "lastState": {"terminated": ended},
        }],
    )  # fmt: skip
    seen = await ground.observed_when(platform, lambda seen: seen.instances[0].state == "exited")
    assert api.store.get(KEY)["status"]["conditions"] == [{"type": "Ready", "status": "True"}]
    (instance,) = seen.instances
    assert (instance.ready, instance.restarts, instance.gave_up) == (False, 3, True)
    assert instance.reason == "The model server ended with exit code 3. Its last words: no such model"


async def test_g5_a_pod_that_leaves_is_there_and_not_ready(connect: Connect) -> None:
    platform = connect()
    await platform.apply(manifest("slow-to-stop", activation="a"))
    await ground.ready(platform)
    await platform.apply(manifest(activation="b"))
    leaving = await ground.instance_when(platform, lambda one: one.state == "stopping")
    assert (leaving.activation, leaving.ready) == ("a", False), "it keeps its Ready condition to the end"


async def test_g12_a_lost_node_ends_readiness_at_once(kserve: FakeKServe, connect: Connect) -> None:
    platform = connect()
    await platform.apply(manifest())
    await ground.ready(platform)
    lost = [{"type": "Ready", "status": "False", "reason": "NodeNotReady"}]
    kserve.change_pod(kserve.pods(SLOT)[0], conditions=lost)
    seen = await ground.observed_when(platform, lambda seen: not seen.instances[0].ready)
    assert seen.trouble is not None
    assert (seen.trouble.code, seen.trouble.final) == ("node_lost", False)


async def test_g12_a_pod_without_an_address_is_not_ready(kserve: FakeKServe, connect: Connect) -> None:
    """An eviction takes the address away before the condition."""
    platform = connect()
    await platform.apply(manifest())
    await ground.ready(platform)
    kserve.change_pod(kserve.pods(SLOT)[0], podIP="")
    (instance,) = (await ground.observed_when(platform, lambda seen: not seen.instances[0].ready)).instances
    assert (instance.url, instance.state) == (None, "running")


async def test_an_evicted_pod_that_stays_does_not_hold_up_its_successor(
    api: FakeApi, kserve: FakeKServe, connect: Connect
) -> None:
    platform = connect()
    await platform.apply(manifest(activation="a"))
    await ground.ready(platform)
    old = kserve.change_pod(kserve.pods(SLOT)[0], phase="Failed", reason="Evicted")
    young = copy.deepcopy(old) | {"status": {"phase": "Pending"}}
    api.store.put(("pods", "default", "successor"), {**young, "metadata": {
        "labels": young["metadata"]["labels"], "annotations": young["metadata"]["annotations"]}})  # fmt: skip
    seen = await ground.observed_when(
        platform, lambda seen: [one.name for one in seen.instances] == ["successor"]
    )
    assert seen.trouble is None


async def test_g11_unschedulable_is_told_verbatim_and_final_after_a_while(
    api: FakeApi, kserve: FakeKServe, connect: Connect
) -> None:
    now = [0.0]
    kserve.behaviours["well"] = "pending"
    platform = connect(clock=lambda: now[0])
    await platform.apply(manifest())
    await until(lambda: kserve.pods(SLOT))
    said = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: not eligible."
    kserve.change_pod(
        kserve.pods(SLOT)[0],
        conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": said}],
    )
    seen = await ground.observed_when(platform, lambda seen: seen.trouble)
    assert seen.trouble is not None
    assert seen.trouble.sentence == f"No node has enough free nvidia.com/gpu: {said}"
    assert not seen.trouble.final
    now[0] = 25.0
    trouble = (await platform.observe(SLOT)).trouble
    assert trouble is not None
    assert trouble.final


async def test_knative_is_stopped_before_the_next_model_is_asked_for(api: FakeApi, connect: Connect) -> None:
    platform = connect()
    await platform.apply(manifest("slow-to-stop", activation="a"))
    await ground.ready(platform)
    _make_knative(api)
    stops = 0
    for _ in range(100):
        try:
            await platform.apply(manifest(activation="b"))
            break
        except Unavailable as wait:
            assert "still stopping" in wait.sentence
            stops += 1
            assert all(
                pod["metadata"]["labels"][ACTIVATION_LABEL] == "a"
                for pod in api.store.find("pods", "default")
            )
            await asyncio.sleep(0.01)
    assert stops
    notes = api.store.get(KEY)["metadata"]["annotations"]
    assert notes["serving.kserve.io/deploymentMode"] == "Knative"
    assert notes["serving.kserve.io/stop"] == "false"
    assert "deploymentStrategy" not in api.store.get(KEY)["spec"]["predictor"]
    assert (await ground.instance_when(platform, lambda one: one.ready)).activation == "b"


def _make_knative(api: FakeApi) -> None:
    def keep(key: Key, what: str, item: Object) -> None:
        if key == KEY and item.get("status"):
            item["status"]["deploymentMode"] = "Knative"

    api.store.told.insert(0, keep)
    api.store.get(KEY)["status"]["deploymentMode"] = "Knative"


async def test_an_old_kserve_gets_the_old_names_of_modes(api: FakeApi, connect: Connect) -> None:
    refusing = "customizing deploymentStrategy is only supported for raw deployment mode"
    api.fail(403, "Forbidden", f'admission webhook "v" denied the request: {refusing}',
             match=lambda asked: asked.verb == "patch" and "RawDeployment" not in str(asked.body))  # fmt: skip
    wanted = manifest()
    wanted["metadata"]["annotations"] = {"serving.kserve.io/deploymentMode": "Standard"}
    await connect().apply(wanted)
    assert (
        api.store.get(KEY)["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "RawDeployment"
    )


async def test_a18_a_status_of_odd_types_is_borne(api: FakeApi, connect: Connect) -> None:
    platform = connect()
    await platform.apply(manifest())
    await ground.ready(platform)
    pod = api.store.find("pods", "default")[0]
    key = ("pods", "default", pod["metadata"]["name"])
    for odd in (
        None,
        [],
        {"conditions": {}, "containerStatuses": [1], "podIP": 7},
        {"conditions": [{"type": []}]},
    ):
        api.store.put(key, {**copy.deepcopy(api.store.get(key)), "status": odd})
        seen = await ground.observed_when(
            platform, lambda seen: seen.instances and not seen.instances[0].ready
        )
        assert seen.instances[0].state == "starting"
    assert await platform.observe("another") == Observed()
