"""What an entry may ask of a process on this machine, and how a container becomes one."""

from typing import Any

import pytest
from msgspec import structs

from model_manager.errors import Unprocessable
from model_manager.serving.local_policy import LOCAL_FIELDS, LocalCommand, LocalPolicy, local_command, place
from model_manager.serving.manifest import render
from model_manager.serving.runtime import Container, Probe, assemble
from tests.serving.entries import ORIGINAL, RUNTIMES, context, entry

FOLDER = "/srv/model weights/m"


def container(**fields: Any) -> Container:
    manifest, _ = render(entry(**fields), context())
    return assemble(manifest, RUNTIMES, LOCAL_FIELDS)


def command(policy: LocalPolicy | None = None, **fields: Any) -> LocalCommand:
    return local_command(container(**fields), FOLDER, policy or LocalPolicy())


def refused(**fields: Any) -> str:
    with pytest.raises(Unprocessable) as e:
        command(**fields)
    assert e.value.hint
    return e.value.sentence


def test_the_embedded_engine() -> None:
    placed = place(container(contextLength=512, args=["--threads", "2"]), "127.0.0.1", 45123)
    made = local_command(placed, FOLDER, LocalPolicy())
    assert made.argv == (
        "python3", "-m", "model_manager.engines.llama_cpp", f"--model={FOLDER}", "--host=127.0.0.1", "--port=45123",
        "--alias", "m", "--ctx-size", "512", "--threads", "2",
    )  # fmt: skip
    assert made.env == {"INFERENCE_SERVICE_NAME": "active-llm"}
    assert made.skipped == ()


def test_vllm() -> None:
    made = command(runtime="vllm", vllm={"dtype": "half"}, env=[{"name": "OMP_NUM_THREADS", "value": "2"}])
    assert made.argv == (
        "vllm", "serve", FOLDER, "--host=0.0.0.0", "--port=8080", "--dtype", "half", "--served-model-name", "m",
    )  # fmt: skip
    assert made.env == {
        "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "2",
        "INFERENCE_SERVICE_NAME": "active-llm",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name",
    [
        "LD_LIBRARY_PATH", "LD_DEBUG", "PATH", "PYTHONINSPECT", "PYTHONWARNINGS", "HOME", "TMPDIR", "GGML_BACKEND_PATH",
        "VLLM_CONFIG_ROOT", "HF_ENDPOINT", "http_proxy", "NODE_OPTIONS", "MODEL_MANAGER_API_TOKEN", "ANYTHING",
        "omp_num_threads",
    ],
)  # fmt: skip
def test_t9_a_variable_that_is_not_on_the_list_is_refused(name: str) -> None:
    assert f"sets the variable {name}" in refused(env=[{"name": name, "value": "1"}])


@pytest.mark.parametrize(
    "args",
    [
        ["--trust-remote-code"], ["--trust_remote_code"], ["--Trust-Remote-Code=true"],
    ],
)  # fmt: skip
def test_y3_remote_code_needs_the_operators_word(args: list[str]) -> None:
    sentence = refused(runtime="vllm", args=args)
    assert "run code from the model's repository" in sentence
    assert (
        "trust"
        in " ".join(command(LocalPolicy(trust_remote_code=True), runtime="vllm", args=args).argv).lower()
    )


def test_y3_the_field_needs_it_too() -> None:
    assert "off on this machine" in refused(runtime="vllm", vllm={"trustRemoteCode": True})


@pytest.mark.parametrize(
    ("runtime", "args"),
    [
        ("vllm", ["--enable-lora"]), ("vllm", ["--speculative-config", "{}"]), ("vllm", ["--compilation-config", "{}"]),
        ("vllm", ["--seeed", "1"]), ("vllm", ["--gpu-memory-util", "1"]), ("vllm", ["-cc", "{}"]),
        ("llama-cpp", ["--lora", "x"]), ("llama-cpp", ["--flash-attn"]), ("llama-cpp", ["--mmproj", "x"]),
        ("llama-cpp", ["-fa"]),
    ],
)  # fmt: skip
def test_t9_a_flag_that_is_not_on_the_list_is_refused(runtime: str, args: list[str]) -> None:
    assert "is not allowed on this machine" in refused(runtime=runtime, args=args)


@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd", "/", "~/x", "~root/x", "../x", "a/../../x", "/mnt/models/../x", "/mnt/models-x/y",
        "/mnt/modelsx",
        "file:///etc/passwd", "a=/etc", "a:/etc", '{"p": "/etc"}', '{"p":"/etc"}', "x,/etc", "http://example.com/x",
        "@/etc/passwd", "..", "a\\..\\b", "['/etc']",
    ],
)  # fmt: skip
def test_t7_a_value_cannot_leave_the_models_folder(value: str) -> None:
    assert "outside the model's own folder" in refused(runtime="vllm", args=["--chat-template", value])
    assert "outside the model's own folder" in refused(runtime="vllm", args=[f"--chat-template={value}"])
    assert "outside the model's own folder" in refused(env=[{"name": "TZ", "value": value}])


@pytest.mark.parametrize(
    "value",
    ["/mnt/models", "/mnt/models/t.jinja", "t.jinja", "a/b.jinja", "v1..2", '{"a": 1}', "Qwen/Qwen2.5"],
)
def test_values_within_it_are_fine(value: str) -> None:
    made = command(runtime="vllm", args=["--chat-template", value])
    assert made.argv[-1] == value.replace("/mnt/models", FOLDER)


def test_a_variable_cannot_smuggle_a_path_into_an_argument() -> None:
    """`$(NAME)` is expanded before anything is looked at."""
    env = [{"name": "TZ", "value": "etc"}]
    assert "outside the model's own folder" in refused(
        runtime="vllm", env=env, args=["--chat-template", "/$(TZ)/x"]
    )


def test_only_whole_path_names_are_rewritten() -> None:
    base = container()
    given = structs.replace(base, args=("/mnt/models", "/mnt/models/a", "--x=/mnt/models:/mnt/modelsx"))
    made = local_command(given, "/w", LocalPolicy())
    assert made.argv[-3:] == ("/w", "/w/a", "--x=/w:/mnt/modelsx")


def test_a_folder_with_backslashes_is_taken_as_it_is() -> None:
    assert f"--model={FOLDER}\\1" in local_command(container(), f"{FOLDER}\\1", LocalPolicy()).argv


def test_t9_a_secret_of_the_cluster_is_not_here() -> None:
    secret = {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"name": "db", "key": "url"}}}
    sentence = refused(env=[secret])
    assert sentence == (
        "DATABASE_URL takes its value from a cluster (secretKeyRef db/url), and there is none here."
    )


def test_an_optional_secret_is_left_out() -> None:
    secret = {"name": "TZ", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k", "optional": True}}}
    assert "TZ" not in command(env=[secret]).env


def test_what_has_no_meaning_here_is_skipped_and_said() -> None:
    fields = {**ORIGINAL["qwen2.5-1.5b-instruct"], "runtime": "vllm"}
    made = command(LocalPolicy(trust_remote_code=True), **fields)
    assert set(made.env) == {
        "HF_HUB_OFFLINE", "VLLM_NO_USAGE_STATS", "DO_NOT_TRACK", "HSA_OVERRIDE_GFX_VERSION", "INFERENCE_SERVICE_NAME",
    }  # fmt: skip
    said = " ".join(made.skipped)
    for name in ("HF_HOME", "HUGGING_FACE_HUB_TOKEN", "MODEL_ID", "nodeSelector", "tolerations", "resources"):
        assert name in said


def test_an_operators_runtime_is_not_held_to_the_list() -> None:
    own = {
        "metadata": {"name": "own"},
        "spec": {
            "supportedModelFormats": [{"name": "custom"}],
            "containers": [
                {
                    "name": "kserve-container",
                    "command": ["/opt/server"],
                    "args": ["--port", "8080", "--plugin=/opt/p.so"],
                    "env": [{"name": "LD_LIBRARY_PATH", "value": "/opt/lib"}],
                }
            ],
        },
    }
    manifest, _ = render(entry(runtime="own"), context())
    placed = place(assemble(manifest, {"own": own}), "127.0.0.1", 4000)
    made = local_command(placed, FOLDER, LocalPolicy())
    assert made.argv == (
        "/opt/server", "--port", "4000", "--plugin=/opt/p.so", "--served-model-name", "m", "--host=127.0.0.1",
    )  # fmt: skip
    assert made.env["LD_LIBRARY_PATH"] == "/opt/lib"


def test_a_runtime_without_a_command_cannot_run_here() -> None:
    with pytest.raises(Unprocessable, match="names no command"):
        local_command(structs.replace(container(), command=()), FOLDER, LocalPolicy())


def test_a_runtime_without_a_port_argument_cannot_be_placed() -> None:
    with pytest.raises(Unprocessable, match="gives its server no `--port`"):
        place(structs.replace(container(), args=()), "127.0.0.1", 4000)


def test_placing_moves_the_probes_of_that_port_only() -> None:
    base = structs.replace(container(), liveness=Probe(port=9999))
    placed = place(base, "127.0.0.1", 4000)
    assert placed.ports == (4000,)
    assert (placed.readiness.port, placed.liveness) == (4000, Probe(port=9999))
    assert placed.startup is not None and placed.startup.port == 4000
    assert placed.readiness.path == "/health"
