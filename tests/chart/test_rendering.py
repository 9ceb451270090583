"""What the chart renders: the golden files, and what must hold of every case."""

import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from model_manager.serving.kserve.rights import RIGHTS
from model_manager.serving.runtimes import PACKAGED
from model_manager.settings import SETTINGS, load
from tests.chart.cases import CASES
from tests.chart.golden import FOLDER, text
from tests.chart.rendering import CHART, MINIMAL, ROOT, Object, find, notes, render

every_case = pytest.mark.parametrize("case", CASES)


@every_case
def test_it_renders_what_it_rendered(case: str) -> None:
    """A change is looked at in the diff that `python -m tests.chart.golden` makes."""
    assert text(CASES[case]) == (FOLDER / f"{case}.yaml").read_text()


@every_case
def test_helms_own_lint_is_content(case: str) -> None:
    helm_python = pytest.importorskip("helm_python", reason="helm on PATH lints by `helm lint`")
    found = helm_python.lint(CHART, CASES[case], strict=True, namespace="ai")
    assert found["errors"] == []
    assert [one for one in found["messages"] if one["severity"] > 1] == []


@every_case
def test_its_variables_are_settings_that_can_be_loaded(case: str) -> None:
    env = _environment(_manager(case))
    assert set(env) - {"HF_TOKEN"} <= {row.env for row in SETTINGS}
    settings = load(environ={name: value for name, value in env.items() if value is not None})
    assert settings.platform == "kserve"
    mounted = {one["mountPath"] for one in _manager(case)["volumeMounts"]}
    assert {str(settings.state_path), str(settings.weights_path)} <= mounted
    assert str(settings.catalog_root.parent) in mounted
    assert str(settings.api_token_file.parent) in mounted


@every_case
def test_no_container_of_ours_may_do_what_it_need_not(case: str) -> None:
    objects = render(CASES[case])
    pods = [_pod(objects), find(objects, "Pod", f"{_name(objects)}-test")["spec"]]
    runtimes = [one["spec"] for one in objects if one["kind"] == "ServingRuntime" and "llama" in str(one)]
    for spec in pods:
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["enableServiceLinks"] is False
    for spec in [*pods, *runtimes]:
        for container in spec["containers"]:
            allowed = container["securityContext"]
            assert allowed["readOnlyRootFilesystem"] is True
            assert allowed["allowPrivilegeEscalation"] is False
            assert allowed["capabilities"] == {"drop": ["ALL"]}
            assert "/tmp" in {one["mountPath"] for one in container["volumeMounts"]}
    root = CASES[case].get("securityContext", {}).get("runAsUser") == 0
    assert pods[0]["securityContext"]["runAsNonRoot"] is not root


@every_case
def test_every_volume_is_mounted_and_every_mount_has_one(case: str) -> None:
    spec = _pod(render(CASES[case]))
    mounted = {one["name"] for container in spec["containers"] for one in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}


@every_case
def test_nothing_is_said_of_a_value_that_is_missing(case: str) -> None:
    told = f"{text(CASES[case])}{notes(CASES[case])}"
    assert "<no value>" not in told
    assert "%!" not in told


@every_case
def test_no_token_is_a_variable_but_the_hubs(case: str) -> None:
    objects = render(CASES[case])
    names = {name for one in _pod(objects)["containers"] for name in _environment(one) if "TOKEN" in name}
    assert names <= {"HF_TOKEN", "MODEL_MANAGER_API_TOKEN_FILE", "MODEL_MANAGER_HUB_TOKEN_SECRET"}


@pytest.mark.parametrize("mode", ["knative", "deployment"])
def test_services_find_the_managers_pods_and_no_others(mode: str) -> None:
    objects = render({**MINIMAL, "mode": mode})
    labels = _template(objects)["metadata"]["labels"]
    for service in (one for one in objects if one["kind"] == "Service" and one["apiVersion"] == "v1"):
        assert service["spec"]["selector"].items() <= labels.items()
        test = find(objects, "Pod", "model-manager-test")
        assert not service["spec"]["selector"].items() <= test["metadata"]["labels"].items()


def test_what_knative_would_refuse_is_not_in_its_pod() -> None:
    """Seen on the real one: fields of a Deployment, numbers in annotations, a sidecar's port or probe."""
    service = find(render(CASES["knative-everything"]), "Service", group="serving.knative.dev")
    template = service["spec"]["template"]
    assert {"terminationGracePeriodSeconds", "initContainers"}.isdisjoint(template["spec"])
    assert "fsGroupChangePolicy" not in template["spec"]["securityContext"]
    scales = {
        key: value for key, value in template["metadata"]["annotations"].items() if "autoscaling" in key
    }
    assert scales == {f"autoscaling.knative.dev/{end}-scale": "1" for end in ("min", "max")}
    manager, sidecar = template["spec"]["containers"]
    assert len(manager["ports"]) == 1
    assert {"ports", "readinessProbe", "livenessProbe", "startupProbe"}.isdisjoint(sidecar)
    assert all("fieldRef" not in str(one) for one in manager["env"])


def test_without_its_token_the_service_says_which_secret_and_key_are_missing(tmp_path: Path) -> None:
    env = {name: value for name, value in _environment(_manager("knative")).items() if value is not None}
    outside = {"PATH": os.environ["PATH"], "STATE_PATH": str(tmp_path), "SERVER_PORT": "0"}
    asked = subprocess.run(
        [sys.executable, "-m", "model_manager", "serve"],
        env=env | outside, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert asked.returncode == 78
    assert "model-manager-api-token/token cannot be read" in asked.stderr
    assert "Mount the secret" in asked.stderr


def test_its_rights_are_those_that_doctor_asks_for() -> None:
    objects = render(MINIMAL)
    given = {
        (kind == "Role", group, resource, verb)
        for kind, name in (("Role", "model-manager"), ("ClusterRole", "ai-model-manager"))
        for rule in find(objects, kind, name)["rules"]
        for group, resource, verb in product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }
    asked = {
        (
            right.kind.namespaced,
            right.kind.group,
            "/".join(filter(None, (right.kind.plural, right.subresource))),
            verb,
        )
        for right in RIGHTS
        for verb in right.verbs
    }
    assert given == asked


def test_runtimes_are_those_of_the_package() -> None:
    objects = render({**MINIMAL, "runtimes": {"cuda": {"enabled": True}}})
    packaged = {
        name: yaml.safe_load((PACKAGED / f"{name}.yaml").read_text()) for name in ("vllm", "llama-cpp")
    }
    for name, source in {"vllm-runtime": "vllm", "vllm-cuda": "vllm", "llama-cpp": "llama-cpp"}.items():
        assert _comparable(find(objects, "ServingRuntime", name)) == _comparable(packaged[source])


def test_alerts_and_dashboard_are_those_of_deploy() -> None:
    monitoring = {"alerts": True, "dashboard": True}
    objects = render({**MINIMAL, "monitoring": monitoring})
    rules = yaml.safe_load((ROOT / "deploy/prometheus/alerts.yaml").read_text())
    assert find(objects, "PrometheusRule")["spec"] == rules
    shown = find(objects, "ConfigMap", "model-manager-dashboard")["data"]["model-manager.json"]
    assert json.loads(shown) == json.loads((ROOT / "deploy/grafana/model-manager.json").read_text())


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "create secret generic model-manager-api-token --from-literal=token="),
        ({}, "Its pod waits for the claim model-weights"),
        ({}, "helm upgrade model-manager CHART -n ai --reuse-values --set-string podAnnotations.again=1"),
        ({"onepassword": {"secretName": "git"}}, "Its pod waits for the Secret git"),
        ({"active": {"namespace": "models"}}, "they need a claim model-weights there"),
        ({"route": {"host": "m.example.com"}}, "get domainmapping m.example.com"),
        ({"mode": "deployment"}, "rollout status deployment/model-manager"),
        ({}, 'exec -i "$(kubectl -n ai get pod -l app.kubernetes.io/instance=model-manager,'),
    ],
)  # fmt: skip
def test_the_notes_say_what_is_missing_and_the_next_command(values: Object, said: str) -> None:
    assert said in notes({**MINIMAL, **values})


def test_the_notes_ask_for_nothing_that_the_chart_makes() -> None:
    made = {
        "apiToken": {"createSecret": True, "value": "t"},
        "weights": {"create": True},
        "mode": "deployment",
    }
    told = notes({**MINIMAL, **made})
    assert not any(word in told for word in ("create secret", "waits for", "revision"))


def _pod(objects: list[Object]) -> Object:
    spec: Object = _template(objects)["spec"]
    return spec


def _template(objects: list[Object]) -> Object:
    workloads = [one for one in objects if one["kind"] == "Deployment" or "knative" in one["apiVersion"]]
    (template,) = [one["spec"]["template"] for one in workloads if "template" in one["spec"]]
    found: Object = template
    return found


def _name(objects: list[Object]) -> str:
    return next(one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount")


def _manager(case: str) -> Object:
    container: Object = _pod(render(CASES[case]))["containers"][0]
    return container


def _environment(container: Object) -> dict[str, str | None]:
    """None for what comes from a Secret."""
    names = [one["name"] for one in container["env"]]
    assert len(names) == len(set(names)), "a variable is set twice"
    return {one["name"]: one.get("value") for one in container["env"]}


def _comparable(runtime: Any) -> Object:
    """Without what the chart decides: names, images, and confinement."""
    spec = json.loads(json.dumps(runtime["spec"]))
    container = spec["containers"][0]
    for key in ("image", "securityContext"):
        container.pop(key, None)
    container["volumeMounts"] = [one for one in container.get("volumeMounts", []) if one["name"] != "tmp"]
    spec["volumes"] = [one for one in spec.get("volumes", []) if one["name"] != "tmp"]
    return {"annotations": runtime["metadata"]["annotations"], "spec": spec}
