"""ServingRuntime files: the packaged ones, the operator's, and a sentence for each that cannot be used."""

import os
from pathlib import Path

import pytest

from model_manager.serving.runtimes import Runtimes, load_runtimes

GOOD = """
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: mine}
spec:
  supportedModelFormats: [{name: custom}]
  containers:
  - name: kserve-container
    command: [server]
    args: [--port=8080]
"""


def load(folder: Path) -> tuple[set[str], list[str]]:
    """The names beyond the packaged ones, and the sentences."""
    sentences: list[str] = []
    return set(load_runtimes(folder, sentences.append)) - {"llama-cpp", "vllm"}, sentences


def test_the_packaged_runtimes() -> None:
    runtimes = load_runtimes()
    assert set(runtimes) == {"llama-cpp", "vllm"}
    for runtime in runtimes.values():
        formats = {format_["name"] for format_ in runtime["spec"]["supportedModelFormats"]}
        assert "custom" in formats, "every manifest of ours says `custom`"
        container = runtime["spec"]["containers"][0]
        assert container["terminationMessagePolicy"] == "FallbackToLogsOnError"
        assert all("name" not in port for port in container["ports"]), "Knative refuses a port called http"
        assert "serving.kserve.io/server-type" not in runtime["metadata"]["annotations"]


def test_the_operators_files_are_added(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(GOOD)
    (tmp_path / "two.yml").write_text(GOOD.replace("mine", "a") + "---" + GOOD.replace("mine", "b") + "---\n")
    (tmp_path / "README.md").write_text("not a runtime")
    assert load(tmp_path) == ({"mine", "a", "b"}, [])


def test_an_operators_runtime_replaces_a_packaged_one(tmp_path: Path) -> None:
    (tmp_path / "vllm.yaml").write_text(GOOD.replace("mine", "vllm"))
    assert load_runtimes(tmp_path)["vllm"]["spec"]["containers"][0]["command"] == ["server"]


def test_a_cluster_runtime_counts_too(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(GOOD.replace("kind: ServingRuntime", "kind: ClusterServingRuntime"))
    assert load(tmp_path) == ({"mine"}, [])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: [", "bad.yaml:2: "),
        ("\tkind: x", "bad.yaml:1: "),
        ("just a text", "this is no ServingRuntime"),
        ("[]", "this is no ServingRuntime"),
        ("kind: Pod", "this is no ServingRuntime"),
        (GOOD.replace("{name: mine}", "{}"), "no `metadata.name`"),
        (GOOD.replace("{name: mine}", "{name: 1.10}"), "no `metadata.name`"),
        (GOOD.partition("spec:")[0], "has no `spec`"),
        (GOOD.replace("[{name: custom}]", "custom"), "`supportedModelFormats` of 'mine'"),
        (GOOD.replace("name: kserve-container", "name: main"), "has 0 containers called kserve-container"),
        (GOOD.replace("command: [server]", "command: server"), "`command` of 'mine' is not a list of texts"),
        (GOOD.replace("[--port=8080]", "[--port, 8080]"), "put quotes around numbers"),
        (GOOD.replace("[--port=8080]", "[no]"), "put quotes around numbers, yes and no"),
        (GOOD + "    env: [{name: A, value: 1}]\n", "the variable A of 'mine' is not a text"),
        (GOOD + "    env: [{value: a}]\n", "`env` of 'mine' is not a list of items with a `name`"),
        (GOOD + "    command: [other]\n", "the key 'command' is given twice"),
        ("a: &a [x]\nb: *a\n", "aliases (`*name`) are not read"),
        ("!!python/object/apply:os.system ['true']", "could not determine a constructor"),
        ("a" * (1 << 20) + "a", "larger than 1 MiB"),
        ("[" * 20_000, "nested more than 64 deep"),
    ],
)
def test_t8_a_file_that_cannot_be_used_says_why_and_leaves_the_others(
    tmp_path: Path, text: str, says: str
) -> None:
    (tmp_path / "bad.yaml").write_text(text)
    (tmp_path / "good.yaml").write_text(GOOD.replace("mine", "good"))
    names, sentences = load(tmp_path)
    assert names == {"good"}
    assert len(sentences) == 1
    assert sentences[0].startswith("bad.yaml")
    assert says in sentences[0]
    assert sentences[0].endswith(".")


def test_t4_an_alias_bomb_is_not_expanded(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    (tmp_path / "bomb.yaml").write_text("\n".join(lines))
    assert load(tmp_path) == (set(), ["bomb.yaml: aliases (`*name`) are not read; write the value out."])


def test_files_that_are_not_utf_8_or_no_files(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"kind: \xff\xfe")
    (tmp_path / "folder.yaml").mkdir()
    assert load(tmp_path)[1] == [
        "folder.yaml: it is not a file.",
        "latin.yaml: it is not UTF-8.",
    ]


def test_two_files_with_one_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD)
    (tmp_path / "b.yaml").write_text(GOOD.replace("[server]", "[other]"))
    names, sentences = load(tmp_path)
    assert names == {"mine"}
    assert sentences == ["b.yaml: 'mine' is defined in a.yaml already; that one is used."]
    assert load_runtimes(tmp_path)["mine"]["spec"]["containers"][0]["command"] == ["server"]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    names, sentences = load(tmp_path / "gone")
    assert names == set()
    assert "does not exist" in sentences[0]


def test_a_pipe_does_not_hold_up_the_start(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert load(tmp_path) == (set(), ["pipe.yaml: it is not a file."])


def test_runtimes_are_read_when_first_asked_for_and_told_once(tmp_path: Path) -> None:
    said: list[str] = []
    runtimes = Runtimes(tmp_path / "absent", said.append)
    assert said == []
    assert "llama-cpp" in runtimes
    assert runtimes["vllm"]["metadata"]["name"] == "vllm"
    assert sorted(runtimes) == ["llama-cpp", "vllm"]
    assert len(runtimes) == 2
    assert len(said) == 1
