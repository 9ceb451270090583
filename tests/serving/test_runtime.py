"""InferenceService + ServingRuntime → container, against what KServe 0.20 made of the same two on a real cluster."""

from typing import Any

import pytest

from model_manager.errors import Unprocessable
from model_manager.serving.expansion import expand, fill_placeholders
from model_manager.serving.manifest import render
from model_manager.serving.merge import merge
from model_manager.serving.runtime import Container, Mount, Probe, Unresolved, assemble
from tests.serving.entries import RUNTIMES, context, entry


def isvc(model: dict[str, Any], **predictor: Any) -> dict[str, Any]:
    model = {"modelFormat": {"name": "custom"}, "runtime": "r", "storageUri": "pvc://weights/qwen", **model}
    metadata = {
        "name": "active-llm",
        "namespace": "models",
        "labels": {"team": "a"},
        "annotations": {"note": "n"},
    }
    return {"metadata": metadata, "spec": {"predictor": {"model": model, **predictor}}}


def serving_runtime(container: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    own = {"name": "kserve-container", "image": "i", **(container or {})}
    return {
        "kind": "ServingRuntime",
        "metadata": {"name": "r"},
        "spec": {"supportedModelFormats": [{"name": "custom", "version": "1"}], "containers": [own], **spec},
    }


def assembled(runtime: dict[str, Any], model: dict[str, Any], **predictor: Any) -> Container:
    return assemble(isvc(model, **predictor), {"r": runtime})


def reason(manifest: dict[str, Any], runtimes: dict[str, Any]) -> str:
    with pytest.raises(Unprocessable) as e:
        assemble(manifest, runtimes)
    assert e.value.sentence.endswith(".") and e.value.hint
    return str(e.value.data["reason"])


def test_the_same_container_as_kserve_made() -> None:
    """The two objects and the Deployment's container were recorded from KServe 0.20 (name, args, env, probe, mount)."""
    runtime = serving_runtime(
        {
            "image": "example.invalid/vllm:1",
            "args": ["--model", "/mnt/models", "--port", "8080", "--served-model-name", "{{.Name}}"],
            "ports": [{"containerPort": 8080, "protocol": "TCP"}],
            "resources": {"requests": {"cpu": "1", "memory": "2Gi"}, "limits": {"cpu": "1", "memory": "2Gi"}},
        }
    )
    model = {
        "args": ["--max-model-len=4096"],
        "env": [{"name": "HF_HUB_OFFLINE", "value": "1"}],
        "resources": {
            "requests": {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"},
            "limits": {"cpu": "2", "memory": "8Gi", "nvidia.com/gpu": "1"},
        },
    }
    container = assembled(runtime, model)
    assert container.args == (
        "--model", "/mnt/models", "--port", "8080", "--served-model-name", "active-llm", "--max-model-len=4096",
    )  # fmt: skip
    assert container.env == (("HF_HUB_OFFLINE", "1"), ("INFERENCE_SERVICE_NAME", "active-llm"))
    assert container.ports == (8080,)
    assert container.readiness == Probe(path=None, port=8080, period=10, timeout=1, failure_threshold=3)
    assert (container.startup, container.liveness) == (None, None)
    assert container.resources == model["resources"]
    assert container.mounts == (Mount("/mnt/models", "pvc://weights/qwen", read_only=True),)


@pytest.mark.parametrize(
    ("runtime", "format_", "expected"),
    [
        (None, {"name": "custom"}, "RuntimeNotRecognized"),
        (serving_runtime(disabled=True), {"name": "custom"}, "RuntimeDisabled"),
        (serving_runtime(), {"name": "onnx"}, "NoSupportingRuntime"),
        (serving_runtime(), {"name": "custom", "version": "2"}, "NoSupportingRuntime"),
        (serving_runtime({"name": "main"}), {"name": "custom"}, "InvalidPredictorSpec"),
        (serving_runtime({"args": ["{{.Spec}}"]}), {"name": "custom"}, "InvalidPredictorSpec"),
    ],
)
def test_g9_what_kserve_refuses_is_refused_with_its_reason(
    runtime: dict[str, Any] | None, format_: dict[str, str], expected: str
) -> None:
    assert reason(isvc({"modelFormat": format_}), {"r": runtime} if runtime else {}) == expected


@pytest.mark.parametrize("format_", [{"name": "custom"}, {"name": "custom", "version": "1"}])
def test_a_format_without_a_version_matches_any(format_: dict[str, str]) -> None:
    assert assembled(serving_runtime(), {"modelFormat": format_}).image == "i"


def test_a_missing_runtime_is_answered_with_those_there_are() -> None:
    with pytest.raises(Unprocessable) as e:
        assemble(isvc({"runtime": "vllm-runtime"}), RUNTIMES)
    assert "'vllm-runtime'" in e.value.sentence
    assert "llama-cpp, vllm" in e.value.hint


def test_arguments_are_joined_and_a_command_is_replaced() -> None:
    runtime = serving_runtime({"command": ["a", "b"], "args": ["1"]})
    joined = assembled(runtime, {"args": ["2"]})
    assert (joined.command, joined.args, joined.entry_args) == (("a", "b"), ("1", "2"), ("2",))
    assert assembled(runtime, {"command": ["c"]}).command == ("c",)


def test_variables_are_merged_by_name_and_the_entrys_win() -> None:
    runtime = serving_runtime({"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]})
    container = assembled(runtime, {"env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]})
    assert dict(container.env) == {"A": "1", "B": "3", "C": "4", "INFERENCE_SERVICE_NAME": "active-llm"}
    assert container.entry_env == (("B", "3"), ("C", "4"))


@pytest.mark.parametrize(
    ("base", "patch", "names"),
    [
        ("ab", "c", "cab"),
        ("ab", "b", "ab"),
        ("ab", "a", "ab"),
        ("ab", "bc", "abc"),
        ("abc", "ca", "bca"),
        ("", "ab", "ab"),
        ("ab", "", "ab"),
    ],
)
def test_merged_lists_have_the_order_of_a_strategic_merge(base: str, patch: str, names: str) -> None:
    """Items of the patch alone come before the base's: apimachinery's `mergeSortedSlice`."""
    items = [[{"name": name} for name in text] for text in (base, patch)]
    merged = merge({"env": items[0]}, {"env": items[1]})
    assert "".join(item["name"] for item in merged["env"]) == names


def test_tolerations_are_replaced_and_selectors_merged() -> None:
    runtime = serving_runtime(
        nodeSelector={"zone": "a", "disk": "ssd"},
        tolerations=[{"key": "runtime"}],
        volumes=[{"name": "shm", "emptyDir": {}}],
    )
    container = assembled(
        runtime, {}, nodeSelector={"zone": "b"}, tolerations=[{"key": "entry"}], volumes=[{"name": "x"}]
    )
    assert container.pod["nodeSelector"] == {"zone": "b", "disk": "ssd"}
    assert container.pod["tolerations"] == [{"key": "entry"}]
    assert [volume["name"] for volume in container.pod["volumes"]] == ["x", "shm"]


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{{.Name}}", "active-llm"),
        ("{{ .Name }}-{{- .Namespace -}}", "active-llm-models"),
        ("{{.Labels.team}}{{.Annotations.note}}", "an"),
        ("[{{.Labels.missing}}]", "[]"),
        ("no template } } {", "no template } } {"),
    ],
)
def test_placeholders(text: str, filled: str) -> None:
    runtime = serving_runtime({"args": [text], "image": "i", "env": [{"name": "T", "value": text}]})
    container = assembled(runtime, {})
    assert container.args == (filled,)
    assert dict(container.env)["T"] == filled


@pytest.mark.parametrize(
    "text", ["{{.Foo}}", "{{ if .Name }}", "{{.Name", "{{.Labels}}", "{{ messages }}", "{{}}"]
)
def test_other_template_code_is_an_error_as_in_kserve(text: str) -> None:
    with pytest.raises(Unprocessable) as e:
        fill_placeholders({"args": [text]}, {"name": "n"})
    assert e.value.data["reason"] == "InvalidPredictorSpec"


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("$(A)", "1"), ("x$(A)y$(B)", "x1y2"), ("$$(A)", "$(A)"), ("$$$(A)", "$1"), ("$$$$(A)", "$$(A)"),
        ("$(NONE)", "$(NONE)"), ("$(A", "$(A"), ("$A", "$A"), ("$", "$"), ("$$", "$"), ("$(rm -rf /)", "$(rm -rf /)"),
        ("$(C)", "$(A)"),
    ],
)  # fmt: skip
def test_t9_variables_are_expanded_once_as_the_kubelet_does(text: str, expanded: str) -> None:
    assert expand(text, {"A": "1", "B": "2", "C": "$(A)"}) == expanded


def test_a_variable_sees_those_before_it() -> None:
    env = [
        {"name": "LATE", "value": "$(EARLY)"}, {"name": "EARLY", "value": "1"}, {"name": "AFTER", "value": "$(EARLY)"},
    ]  # fmt: skip
    container = assembled(serving_runtime({"env": env, "args": ["$(AFTER)"]}), {})
    assert dict(container.env)["LATE"] == "$(EARLY)"
    assert container.args == ("1",)


def test_what_only_the_cluster_knows_is_listed() -> None:
    secret = {"name": "T", "valueFrom": {"secretKeyRef": {"name": "hf", "key": "token", "optional": True}}}
    ip = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    container_fields = {
        "env": [ip, secret],
        "args": ["$(POD_IP)"],
        "envFrom": [{"configMapRef": {"name": "c"}}],
    }
    manifest, runtimes = isvc({}), {"r": serving_runtime(container_fields)}
    unknown = assemble(manifest, runtimes)
    assert unknown.unresolved == (
        Unresolved("POD_IP", "fieldRef status.podIP"),
        Unresolved("T", "secretKeyRef hf/token", optional=True),
        Unresolved("envFrom", "configMapRef c"),
    )
    assert unknown.args == ("$(POD_IP)",)
    known = assemble(manifest, runtimes, {"status.podIP": "127.0.0.1"})
    assert known.args == ("127.0.0.1",)
    assert [item.name for item in known.unresolved] == ["T", "envFrom"]


def test_probes_and_ports() -> None:
    container = assembled(
        serving_runtime(
            {
                "ports": [{"name": "h2c", "containerPort": 9000}, {"containerPort": 9001}],
                "readinessProbe": {"httpGet": {"path": "/health", "port": "h2c"}, "periodSeconds": 1},
                "startupProbe": {
                    "tcpSocket": {"port": 9001},
                    "initialDelaySeconds": 3,
                    "failureThreshold": 60,
                },
                "livenessProbe": {"exec": {"command": ["true"]}},
            }
        ),
        {},
    )
    assert container.ports == (9000, 9001)
    assert container.readiness == Probe(path="/health", port=9000, period=1)
    assert container.startup == Probe(path=None, port=9001, initial_delay=3, failure_threshold=60)
    assert container.liveness is None


def test_only_the_exact_word_false_makes_the_weights_writable() -> None:
    manifest = isvc({})
    for value, read_only in (("false", False), ("False", True), ("true", True)):
        manifest["metadata"]["annotations"]["storage.kserve.io/readonly"] = value
        assert assemble(manifest, {"r": serving_runtime()}).mounts[0].read_only is read_only


@pytest.mark.parametrize("runtime", sorted(RUNTIMES))
def test_a_rendered_entry_fits_each_packaged_runtime(runtime: str) -> None:
    container = assemble(render(entry(runtime=runtime), context())[0], RUNTIMES)
    assert container.command
    assert container.ports == (8080,)
    assert container.readiness.path == "/health"
    assert container.startup and container.startup.period * container.startup.failure_threshold >= 1200
    assert container.api_key_env in ("ENGINE_API_KEY", "VLLM_API_KEY")
    assert container.weights_folder == "m"
    assert container.engine == runtime
