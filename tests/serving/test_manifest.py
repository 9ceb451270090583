"""Entry → InferenceService: whole objects against golden files, then each rule by itself.

`python -m tests.serving.test_manifest` writes the golden files anew; read the difference before committing it.
"""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.catalog.entry import Entry
from model_manager.errors import Unprocessable
from model_manager.serving.manifest import SECRET_ANNOTATIONS, render
from model_manager.weights.uri import folder_of
from tests.serving.entries import EXAMPLES, ORIGINAL, OURS, RUNTIMES, context, entry

GOLDEN = Path(__file__).parent / "golden"


def documents() -> dict[str, dict[str, Any]]:
    examples = {path.stem: json.loads(path.read_text()) for path in sorted(EXAMPLES.glob("*.json"))}
    original = {f"original-{name}": document for name, document in ORIGINAL.items()}
    return {**original, **OURS, **examples}


def rendered(document: dict[str, Any]) -> str:
    parsed = msgspec.convert({key: value for key, value in document.items() if key != "$schema"}, Entry)
    manifest, notes = render(parsed, context(weights_folder=folder_of(parsed)))
    return json.dumps({"manifest": manifest, "leftOut": notes}, indent=2, ensure_ascii=False) + "\n"


@pytest.mark.parametrize("name", sorted(documents()))
def test_golden(name: str) -> None:
    golden = GOLDEN / f"{name}.json"
    assert golden.is_file(), f"{golden.name} is missing: run `python -m tests.serving.test_manifest`"
    assert rendered(documents()[name]) == golden.read_text()


def test_no_golden_file_is_left_behind() -> None:
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(documents())


def predictor(document: Entry, **changes: Any) -> dict[str, Any]:
    manifest, _ = render(document, context(**changes))
    result: dict[str, Any] = manifest["spec"]["predictor"]
    return result


def arguments(document: Entry, **changes: Any) -> list[str]:
    result: list[str] = predictor(document, **changes)["model"]["args"]
    return result


def refused(document: Entry, **changes: Any) -> str:
    with pytest.raises(Unprocessable) as e:
        render(document, context(**changes))
    assert e.value.hint
    return e.value.sentence


def test_the_manifest_is_the_same_each_time() -> None:
    document = msgspec.convert(ORIGINAL["qwen2.5-1.5b-instruct"], Entry)
    assert json.dumps(render(document, context())) == json.dumps(render(document, context()))


def test_one_gpu_is_never_asked_for_twice() -> None:
    """G4: Recreate, said beside the mode that allows it; GPUs in the model's resources alone."""
    manifest, _ = render(entry(resources={"limits": {"nvidia.com/gpu": "1"}}), context())
    spec = manifest["spec"]["predictor"]
    assert spec["deploymentStrategy"] == {"type": "Recreate"}
    assert (spec["minReplicas"], spec["maxReplicas"]) == (1, 1)
    assert manifest["metadata"]["annotations"]["serving.kserve.io/deploymentMode"] == "Standard"
    assert spec["model"]["resources"] == {"limits": {"nvidia.com/gpu": "1"}}
    assert "resources" not in spec


def test_pods_carry_the_activation() -> None:
    manifest, _ = render(entry(), context(activation="a7"))
    for labels in (manifest["metadata"]["labels"], manifest["spec"]["predictor"]["labels"]):
        assert labels["model-manager/activation"] == "a7"
        assert labels["model-manager/model-id"] == "m"
        assert labels["app.kubernetes.io/managed-by"] == "model-manager"


def test_the_manifest_says_where_it_came_from() -> None:
    annotations = render(entry(), context())[0]["metadata"]["annotations"]
    assert annotations["model-manager/catalog-revision"] == "0f3c2d1"
    assert annotations["model-manager/entry-hash"] == "sha256:ab"
    assert annotations["model-manager/weights-folder"] == "m"


def test_weights_are_mounted_read_only() -> None:
    assert "storage.kserve.io/readonly" not in render(entry(), context())[0]["metadata"]["annotations"]


@pytest.mark.parametrize(
    ("fields", "folder", "uri"),
    [
        ({}, "m", "pvc://weights/m"),
        ({"hfModelId": "o/m"}, "o-m", "pvc://weights/o-m"),
        ({"storageUri": "pvc://claim"}, "m", "pvc://claim/m"),
        ({"storageUri": "pvc://claim/"}, "m", "pvc://claim/m"),
        ({"storageUri": "pvc://claim/a/b"}, "a/b", "pvc://claim/a/b"),
        ({"storageUri": "pvc://claim"}, None, "pvc://claim"),
        ({"storageUri": "hf://o/m"}, "o-m", "hf://o/m"),
        ({"storageUri": "s3://bucket/m"}, None, "s3://bucket/m"),
        ({"hfModelId": "o/m"}, None, "hf://o/m"),
        ({"hfModelId": "o/m", "hfRevision": "v1"}, None, "hf://o/m:v1"),
    ],
)
def test_storage_uri(fields: dict[str, Any], folder: str | None, uri: str) -> None:
    assert predictor(entry(**fields), weights_folder=folder)["model"]["storageUri"] == uri


def test_only_what_kserve_fetches_itself_gets_the_secret_of_the_hub() -> None:
    def secrets(uri: str, folder: str | None) -> set[str]:
        manifest, _ = render(
            entry(storageUri=uri), context(weights_folder=folder, hub_token_secret="hf-token")
        )
        notes = manifest["metadata"]["annotations"]
        return {key for key, value in notes.items() if value == "hf-token"}

    assert secrets("hf://o/m", None) == set(SECRET_ANNOTATIONS)
    assert secrets("hf://o/m", "o-m") == set(), "it is installed by this service"
    assert secrets("pvc://claim/m", None) == set()


def test_an_entry_without_any_weights_is_refused() -> None:
    """Without a storageUri KServe would start a multi-model server."""
    assert "does not say where its weights are" in refused(entry(), weights_folder=None)


@pytest.mark.parametrize("slot", ["active-llm", "a", "x" * 40])
def test_slot_names_that_kserve_takes(slot: str) -> None:
    assert render(entry(), context(slot=slot))[0]["metadata"]["name"] == slot


@pytest.mark.parametrize("slot", ["", "A", "1a", "a.b", "a-", "-a", "x" * 41, "a\n", "../a", "qwen2.5"])
def test_t6_slot_names_that_it_does_not_take(slot: str) -> None:
    assert "cannot be the name of a slot" in refused(entry(), slot=slot)


def test_vllm_arguments_keep_the_order_of_the_original() -> None:
    vllm = {
        "trustRemoteCode": True, "maxModelLen": 8192, "gpuMemoryUtilization": 0.85, "dtype": "half",
        "tensorParallelSize": 2, "extraArgs": ["--enforce-eager"],
    }  # fmt: skip
    assert arguments(entry(runtime="vllm", vllm=vllm, args=["--seed", "1"])) == [
        "--tensor-parallel-size", "2", "--dtype", "half", "--gpu-memory-utilization", "0.85",
        "--max-model-len", "8192", "--trust-remote-code", "--served-model-name", "m", "--enforce-eager", "--seed", "1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value", "text"), [(0.9, "0.9"), (0.85, "0.85"), (1, "1.0"), (0.1 + 0.2, "0.30000000000000004")]
)
def test_floats_are_written_shortest(value: float, text: str) -> None:
    assert arguments(entry(runtime="vllm", vllm={"gpuMemoryUtilization": value}))[1] == text


def test_context_length_stands_in_for_max_model_len() -> None:
    assert arguments(entry(runtime="vllm", contextLength=2048))[:2] == ["--max-model-len", "2048"]
    both = entry(runtime="vllm", contextLength=2048, vllm={"maxModelLen": 1024})
    assert arguments(both)[:2] == ["--max-model-len", "1024"]


@pytest.mark.parametrize(
    ("fields", "name"),
    [({}, "m"), ({"hfModelId": "O/M"}, "O/M"), ({"hfModelId": "O/M", "servedModelName": "gpt"}, "gpt")],
)
def test_the_served_name_is_always_said(fields: dict[str, Any], name: str) -> None:
    assert arguments(entry(runtime="vllm", **fields))[-2:] == ["--served-model-name", name]
    assert arguments(entry(**fields))[:2] == ["--alias", name]


def test_llama_cpp_arguments() -> None:
    document = entry(
        contextLength=512, task="embed", pooling="cls", args=["--threads 2"], vllm={"dtype": "half"}
    )
    assert arguments(document) == [
        "--alias", "m", "--ctx-size", "512", "--embedding", "--pooling", "cls", "--threads", "2",
    ]  # fmt: skip
    assert render(document, context())[1] == ("`vllm` is left out: this runtime is llama.cpp's.",)


@pytest.mark.parametrize("field", ["servedModelName", "dtype"])
@pytest.mark.parametrize("value", ["--trust-remote-code", "-O3", "a\nb", "a\0b"])
def test_t9_a_value_cannot_become_a_flag(field: str, value: str) -> None:
    fields = {"servedModelName": value} if field == "servedModelName" else {"vllm": {"dtype": value}}
    assert "cannot be" in refused(entry(runtime="vllm", **fields))


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("vllm-runtime", "--served-model-name"),
        ("qwen-vllm-runtime", "--served-model-name"),
        ("rocm", "--served-model-name"),
        ("my-llama", "--alias"),
        ("vllm-for-llama", "--served-model-name"),
    ],
)
def test_a_runtime_that_is_not_known_here_is_judged_by_its_name(name: str, flag: str) -> None:
    assert flag in arguments(entry(runtime=name))


def test_a_known_runtime_says_itself_whose_command_line_it_speaks() -> None:
    odd = {"metadata": {"name": "odd", "annotations": {"model-manager/engine": "llama-cpp"}}, "spec": {}}
    gguf = {"metadata": {"name": "g"}, "spec": {"supportedModelFormats": [{"name": "gguf"}]}}
    known = {**RUNTIMES, "odd": odd, "g": gguf}
    assert arguments(entry(runtime="odd"), runtimes=known)[0] == "--alias"
    assert arguments(entry(runtime="g"), runtimes=known)[0] == "--alias"


@pytest.mark.parametrize(
    "extra",
    [
        ["--model", "/etc"], ["--model=/etc"], ["--MODEL=/etc"], ["--host", "0.0.0.0"], ["--port 1"],
        ["--served_model_name", "a", "b"], ["--served-model-name=a"], ["--serv", "a"], ["--mod", "a"],
        ["--api-key", "x"], ["--api_key=x"], ["--config", "x.yaml"], ["--hf-overrides.a.b", "1"],
        ["--hf_overrides", '{"a": 1}'], ["--middleware", "os.system"], ["--ssl-keyfile", "k"], ["--ssl_certfile=k"],
        ["--data-parallel-size", "2"], ["--data-par", "2"], ["-dp", "2"], ["-dpn=2"], ["-asc", "2"], ["--uds", "/x"],
        ["--download-dir", "/x"], ["--worker-cls", "a.B"], ["--load-format", "runai"], ["--enable-sleep-mode"],
        ["--tool-parser-plugin", "/x.py"], ["--root-path", "/x"], ["--h", "x"], ["--", "x"], ["-x"],
        ["positional"], ["positional", "more"], ["--swap-space", "8"], ["--swap_space=8"], ["--swap-space 8"],
    ],
)  # fmt: skip
def test_t9_flags_that_are_not_the_entrys_go_with_their_values(extra: list[str]) -> None:
    document = entry(runtime="vllm", vllm={"extraArgs": [*extra, "--seed", "1"]})
    assert arguments(document) == ["--served-model-name", "m", "--seed", "1"]
    assert len(render(document, context())[1]) == 1


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--enforce-eager", " ", ""], ["--enforce-eager"]),
        (["--max-num-seqs 8"], ["--max-num-seqs", "8"]),
        (["  --dtype   half "], ["--dtype", "half"]),
        (["--model-impl", "transformers"], ["--model-impl", "transformers"]),
        (["--hf-overrides-x", "1"], ["--hf-overrides-x", "1"]),
        (["--reasoning-parser", "qwen3"], ["--reasoning-parser", "qwen3"]),
        (["-tp", "2"], ["-tp", "2"]),
        (["-tp=2"], ["-tp=2"]),
        (["-O3"], ["-O3"]),
        (["--seed", "-1"], ["--seed", "-1"]),
        (['--limit-mm-per-prompt {"image": 2}'], ["--limit-mm-per-prompt", '{"image": 2}']),
        (["--name 'two words'"], ["--name", "two words"]),
        (["--name=two words"], ["--name=two words"]),
        (["--text it's"], ["--text", "it's"]),
        (["--seed 1 --block-size 2"], ["--seed", "1", "--block-size", "2"]),
    ],
)
def test_flags_that_stand(extra: list[str], words: list[str]) -> None:
    assert arguments(entry(runtime="vllm", vllm={"extraArgs": extra})) == ["--served-model-name", "m", *words]


def test_t9_a_second_flag_in_one_text_does_not_slip_through() -> None:
    assert arguments(entry(runtime="vllm", args=["--seed 1 --host 0.0.0.0"])) == [
        "--served-model-name",
        "m",
        "--seed",
        "1",
    ]


@pytest.mark.parametrize(
    "extra",
    [["-m", "/x"], ["-a", "x"], ["-hf", "o/m"], ["--api-key-file", "k"], ["-c", "9"], ["--ctx-size=9"]],
)
def test_t9_llama_cpp_has_its_own_flags_that_are_not_the_entrys(extra: list[str]) -> None:
    assert arguments(entry(args=extra)) == ["--alias", "m"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.text("-_=. abhHmodelsrvport8{}'\"\n", max_size=24), max_size=6),
    st.sampled_from(["vllm", "llama-cpp"]),
)
def test_t9_whatever_an_entry_writes_its_name_address_and_model_stay_ours(
    extra: list[str], runtime: str
) -> None:
    try:
        words = arguments(entry(runtime=runtime, args=extra))
    except Unprocessable:
        return
    for word in words[2:]:
        flag = word.partition("=")[0].replace("_", "-").lower()
        assert flag not in (
            "--model",
            "--host",
            "--port",
            "--served-model-name",
            "--alias",
            "--h",
            "--mod",
            "-m",
        )


@pytest.mark.parametrize(
    "fields",
    [
        {"args": ["--chat-template", "{{ messages }}"]},
        {"args": ["--chat-template={{ messages }}"]},
        {"env": [{"name": "T", "value": "a{{.Name}}"}]},
        {
            "volumes": [{"name": "v", "emptyDir": {}}],
            "volumeMounts": [{"name": "v", "mountPath": "/{{.Name}}"}],
        },
    ],
)
def test_t9_what_kserve_would_execute_as_a_template_is_refused(fields: dict[str, Any]) -> None:
    assert "KServe would execute as a template" in refused(entry(runtime="vllm", **fields))


def test_of_two_variables_with_one_name_the_last_counts() -> None:
    """Two of one name are a 422 of the API server."""
    document = entry(
        env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}, {"name": "A", "value": "3"}]
    )
    manifest, notes = render(document, context())
    assert manifest["spec"]["predictor"]["model"]["env"] == [
        {"name": "A", "value": "3"}, {"name": "B", "value": "2"},
    ]  # fmt: skip
    assert notes == ("The variable A is set twice: the last one counts.",)


@pytest.mark.parametrize(
    "name",
    [
        "PYTHONPATH",
        "PYTHONSTARTUP",
        "LD_PRELOAD",
        "BASH_ENV",
        "VLLM_API_KEY",
        "ENGINE_API_KEY",
        "VLLM_SERVER_DEV_MODE",
    ],
)
def test_t9_variables_that_are_not_an_entrys_to_set(name: str) -> None:
    assert name in refused(entry(env=[{"name": name, "value": "x"}]))


@pytest.mark.parametrize("name", ["", "A B", "A=B", "1A", "A\0"])
def test_names_that_are_none(name: str) -> None:
    assert "is no name for a variable" in refused(entry(env=[{"name": name, "value": "x"}]))


def test_a_variable_has_one_source() -> None:
    both = {"name": "A", "value": "1", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    assert "both" in refused(entry(env=[both]))


def test_t9_a_volume_cannot_reach_into_the_node() -> None:
    assert "hostPath" in refused(entry(volumes=[{"name": "v", "hostPath": {"path": "/"}}]))


@pytest.mark.parametrize(
    "fields",
    [
        {"servedModelName": "$(HF_TOKEN)"},
        {"args": ["--chat-template-file=x$(HF_TOKEN)"]},
        {"args": ["--chat-template-file", "$$$(HF_TOKEN)"]},
        {"env": [{"name": "TZ", "value": "$(HF_TOKEN)"}]},
        # named, but left to the runtime's value
        {"env": [{"name": "HF_TOKEN"}], "args": ["--chat-template-file=$(HF_TOKEN)"]},
    ],
)
def test_u6_an_entry_reads_no_variable_of_the_runtime(fields: dict[str, Any]) -> None:
    assert "uses the variable $(HF_TOKEN), which it does not set itself" in refused(entry(**fields))


def test_an_entry_uses_variables_of_its_own_and_literal_texts() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "B", "value": "$(A)$$(C)"}]
    manifest, _ = render(entry(env=env, args=["--chat-template-file=$(B)/$$(C)"]), context())
    assert manifest["spec"]["predictor"]["model"]["env"] == env


if __name__ == "__main__":
    for path in GOLDEN.glob("*.json"):
        path.unlink()
    for name, document in documents().items():
        (GOLDEN / f"{name}.json").write_text(rendered(document))
