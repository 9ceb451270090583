"""A model served through the real KServe, by hand: what every other test of the cluster stands on."""

from testcluster import Cluster, Namespace

from tests.cluster.ground import (
    SLOT,
    activation_of,
    chat,
    demo_ground,
    is_ready,
    isvc,
    isvc_when,
    start,
)


async def test_the_demo_model_answers_through_kserve(namespace: Namespace) -> None:
    await demo_ground(namespace)
    pod = await start(namespace)
    assert "demo model" in await chat(pod)
    found = await isvc_when(namespace, is_ready)
    assert found["status"]["modelStatus"]["states"]["activeModelState"] == "Loaded"


async def test_the_log_of_a_pod_is_read_through_the_api_server(namespace: Namespace) -> None:
    await demo_ground(namespace)
    name = (await start(namespace))["metadata"]["name"]
    everything = (await namespace.api.log(name, namespace.name)).splitlines()
    assert everything
    assert (await namespace.api.log(name, namespace.name, tailLines="1")).splitlines() == everything[-1:]


async def test_with_one_gpu_the_old_pod_is_gone_before_the_new_one_starts(namespace: Namespace) -> None:
    await demo_ground(namespace)
    old = await start(namespace)
    new = await start(namespace, isvc("a2", "pvc://weights/demo-pirate"))
    assert [activation_of(pod) for pod in await namespace.pods()] == ["a2"]
    assert new["status"]["podIP"] != old["status"]["podIP"]
    assert "pirate" in await chat(new)


async def test_a_pod_that_ends_slowly_stays_terminating_and_ready(namespace: Namespace) -> None:
    await demo_ground(namespace)
    pod = await start(namespace)
    namespace.fail("slow-termination:2", model_manager__activation="a1")
    await namespace.api.delete("inferenceservices", SLOT, namespace.name)

    async def terminating() -> bool:
        return any("deletionTimestamp" in one["metadata"] for one in await namespace.pods())

    await namespace.wait(terminating)
    assert "demo model" in await chat(pod), "its process is still there"

    async def gone() -> bool:
        return not await namespace.pods()

    await namespace.wait(gone)


async def test_an_account_may_do_what_it_was_granted_and_is_seen_doing_it(
    cluster: Cluster, namespace: Namespace
) -> None:
    await namespace.account("reader", [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}])
    async with cluster.client(await namespace.token("reader")) as reader:
        assert await reader.list("pods", namespace.name) == []
    user = f"system:serviceaccount:{namespace.name}:reader"

    async def audited() -> bool:
        return [entry["verb"] for entry in cluster.audit(user)] == ["list"]

    await namespace.wait(audited)


async def test_knative_makes_a_deployment_and_leaves_the_pods_their_port(
    cluster: Cluster, namespace: Namespace
) -> None:
    await cluster.start_knative()
    container = {"image": "test.invalid/model-manager:1", "ports": [{"containerPort": 8080}]}
    body = {
        "apiVersion": "serving.knative.dev/v1",
        "kind": "Service",
        "metadata": {"name": "manager"},
        "spec": {"template": {"spec": {"containers": [container]}}},
    }
    await namespace.apply(body)

    async def deployed() -> bool:
        return any(
            one["metadata"]["name"].startswith("manager-00001")
            for one in await namespace.api.list("deployments", namespace.name)
        )

    await namespace.wait(deployed)
    await demo_ground(namespace)
    assert "demo model" in await chat(await start(namespace))
