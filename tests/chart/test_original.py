"""The original chart's values mean here what they meant there (its Knative Service, as far as it is known)."""

from tests.chart.cases import ORIGINAL
from tests.chart.rendering import Object, find, render


def _containers() -> tuple[Object, Object, dict[str, Object]]:
    service = find(render(ORIGINAL), "Service", group="serving.knative.dev")
    spec = service["spec"]["template"]["spec"]
    manager, sidecar = spec["containers"]
    return manager, sidecar, {volume["name"]: volume for volume in spec["volumes"]}


def _env(container: Object) -> dict[str, str | None]:
    return {one["name"]: one.get("value") for one in container["env"]}


def test_the_service_has_its_name_port_and_settings() -> None:
    manager, _, _ = _containers()
    assert manager["name"] == "manager"
    assert manager["ports"] == [{"name": "http1", "containerPort": 8080}]
    env = _env(manager)
    assert {
        "MODEL_CATALOG_ROOT": "/workspace/catalog",
        "MODEL_CATALOG_MODELS_SUBDIR": "models",
        "ACTIVE_NAMESPACE": "ai",
        "ACTIVE_INFERENCESERVICE_NAME": "active-llm",
        "WEIGHTS_PVC_NAME": "venus-model-storage",
        "WEIGHTS_STORAGE_PATH": "/mnt/models",
        "STATE_PATH": "/app/state",
    }.items() <= env.items()


def test_the_catalog_comes_as_it_came() -> None:
    _, sidecar, volumes = _containers()
    assert sidecar["image"] == "registry.k8s.io/git-sync/git-sync:v4.2.3"
    assert {
        "GITSYNC_REPO": "https://git.example.com/acme/model-catalog.git",
        "GITSYNC_REF": "main",
        "GITSYNC_ROOT": "/workspace",
        "GITSYNC_LINK": "catalog",
        "GITSYNC_PERIOD": "60s",
    }.items() <= _env(sidecar).items()
    (user,) = [one for one in sidecar["env"] if one["name"] == "GITSYNC_USERNAME"]
    assert user["valueFrom"]["secretKeyRef"] == {"name": "model-catalog-git", "key": "username"}
    assert volumes["git-credentials"]["secret"]["secretName"] == "model-catalog-git"
    assert find(render(ORIGINAL), "OnePasswordItem", "model-catalog-git")["spec"] == {
        "itemPath": "vaults/vault1/items/item2"
    }


def test_the_volumes_are_the_same() -> None:
    manager, _, volumes = _containers()
    places = {one["name"]: one["mountPath"] for one in manager["volumeMounts"]}
    assert volumes["weights"]["persistentVolumeClaim"] == {"claimName": "venus-model-storage"}
    assert volumes["state"]["persistentVolumeClaim"] == {"claimName": "model-manager-state"}
    assert (places["weights"], places["state"], places["catalog"]) == (
        "/mnt/models",
        "/app/state",
        "/workspace",
    )
    volume = find(render(ORIGINAL), "PersistentVolume", "model-manager-state")["spec"]
    assert volume["local"] == {"path": "/var/lib/model-manager"}
    assert "venus" in str(volume["nodeAffinity"])
    claim = find(render(ORIGINAL), "PersistentVolumeClaim", "model-manager-state")["spec"]
    assert claim["resources"] == {"requests": {"storage": "5Gi"}}
    assert claim["storageClassName"] == "local-storage"


def test_the_token_comes_from_1password_alone() -> None:
    """There a Secret with an `op://` text was made beside it, and the two overwrote each other."""
    objects = render(ORIGINAL)
    item = find(objects, "OnePasswordItem", "model-manager-api-token")
    assert item["spec"] == {"itemPath": "vaults/vault1/items/item1"}
    assert [one for one in objects if one["kind"] == "Secret"] == []
    manager, _, _ = _containers()
    assert _env(manager)["MODEL_MANAGER_API_TOKEN_FILE"] == "/etc/model-manager/model-manager-api-token/token"


def test_it_is_reached_as_before() -> None:
    objects = render(ORIGINAL)
    mapping = find(objects, "DomainMapping", "model-manager.example.com")
    assert mapping["apiVersion"] == "serving.knative.dev/v1beta1"
    assert mapping["spec"]["ref"]["name"] == "model-manager"
    assert find(objects, "Service", "model-manager-stable")["spec"]["ports"][0]["targetPort"] == 8012
    assert find(objects, "ServingRuntime", "vllm-runtime")
    assert {one["metadata"].get("namespace", "ai") for one in objects} == {"ai"}
