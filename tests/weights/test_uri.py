"""Names and sources, by tables."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.catalog.entry import Entry, Source, SourceFile
from model_manager.errors import InvalidRequest, ModelManagerError, Unprocessable
from model_manager.weights.names import check_files, check_folder, check_name, missing_shards
from model_manager.weights.uri import (
    FileSource,
    HubSource,
    WebSource,
    flattened,
    folder_of,
    parse_source,
    require_source,
)

SHA = "a" * 64


@pytest.mark.parametrize(
    ("model_id", "folder"),
    [
        ("Qwen/Qwen2.5-1.5B-Instruct", "qwen-qwen2.5-1.5b-instruct"),
        ("sshleifer/tiny-gpt2", "sshleifer-tiny-gpt2"),
        ("A__b//C", "a-b-c"),
        ("-a_", "a"),
        ("openai/gpt_oss--120b", "openai-gpt-oss-120b"),
    ],
)
def test_flattened_as_the_original_does(model_id: str, folder: str) -> None:
    assert flattened(model_id) == folder


@pytest.mark.parametrize(
    ("entry", "folder"),
    [
        (Entry(id="demo"), "demo"),
        (Entry(id="x", hf_model_id="Org/Model_A"), "org-model-a"),
        (Entry(id="x", hf_model_id="Org/Model", storage_uri="pvc://claim"), "org-model"),
        (Entry(id="x", hf_model_id="Org/Model", storage_uri="pvc://claim/"), "org-model"),
        (Entry(id="x", storage_uri="pvc://claim/qwen2.5-1.5b"), "qwen2.5-1.5b"),
        (Entry(id="x", storage_uri="pvc://claim/openai/gpt-oss-120b"), "openai/gpt-oss-120b"),
        (Entry(id="x", hf_model_id="Org/Model", storage_uri="hf://Org/Model"), "org-model"),
        # two quantisations of one repository must not share a folder
        (Entry(id="model-q4", hf_model_id="Org/Model-GGUF", files=("*q4*",)), "model-q4"),
    ],
)
def test_folder_of(entry: Entry, folder: str) -> None:
    assert folder_of(entry) == folder


HOSTILE = [
    "", ".", "..", "../x", "a/../b", "a/..", "/etc/passwd", "//server/share", "\\\\server\\share", "C:\\x", "c:x",
    "a\\b", "a\0b", "a\nb", "a\x7fb", "a\x85b", "a\u2028b", "-rf", "a/-rf", "a//b", "a/", "./a", "a/./b", " a", "a ",
    "x" * 300, "é" * 150, "a/" * 600 + "b", "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=ascii)
def test_d22_hostile_names_are_refused(name: str) -> None:
    for check in (check_name, check_folder):
        with pytest.raises(InvalidRequest) as caught:
            check(name)
        assert caught.value.sentence.isprintable() and len(caught.value.sentence) < 200


@pytest.mark.parametrize(
    "name", ["a", "model-00001-of-00002.safetensors", "1_Pooling/config.json", "ünïcode.txt", "a b"]
)
def test_ordinary_names_pass(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "folder", [".staging", ".trash/x", "modules", "modules/x", "lost+found", "a/.b", "a/b/c/d/e"]
)
def test_reserved_or_deep_folders_are_refused(folder: str) -> None:
    with pytest.raises(InvalidRequest):
        check_folder(folder)


@pytest.mark.parametrize("uri", ["pvc://claim/../other", "pvc://claim/a/../../b", "pvc://claim/.staging"])
def test_a_sub_path_never_leaves_the_root(uri: str) -> None:
    with pytest.raises(InvalidRequest):
        folder_of(Entry(id="x", storage_uri=uri))


TEXT = st.text(st.characters(max_codepoint=0x2100))


@given(TEXT)
def test_a_name_that_passes_stays_where_it_is_joined(name: str) -> None:
    try:
        check_name(name)
    except InvalidRequest:
        return
    assert not name.startswith("/") and ".." not in name.split("/") and "\0" not in name
    assert all(part and len(part.encode()) <= 255 for part in name.split("/"))


@pytest.mark.parametrize(
    "names",
    [
        ["a.txt", "A.txt"],
        ["a", "a"],
        ["\u00e9.txt", "e\u0301.txt"],
        ["x", "x/y"],
        ["a/b", "a/b/c/d"],
        [".weights.json"],
        [".Weights.json"],
    ],
)
def test_d22_colliding_names_are_refused(names: list[str]) -> None:
    for order in (names, names[::-1]):
        with pytest.raises(InvalidRequest):
            check_files(order)


def test_missing_shards_are_named() -> None:
    assert missing_shards(["m-00001-of-00002.safetensors", "m-00002-of-00002.safetensors", "x.json"]) == []
    assert missing_shards(["m-00001-of-00003.gguf", "m-00003-of-00003.gguf"]) == ["m-00002-of-00003.gguf"]
    assert missing_shards(["a-00001-of-99999.bin"]) == ["a-00002-of-99999.bin"]


def entry(uri: str, *files: SourceFile, **more: object) -> Entry:
    return Entry(id="x", source=Source(uri=uri, files=files), **more)  # type: ignore[arg-type]


PIN = SourceFile(path="m.gguf", sha256=SHA)


@pytest.mark.parametrize(
    ("given", "source"),
    [
        (Entry(id="x"), None),
        (Entry(id="x", hf_model_id="o/n"), HubSource("o/n")),
        (Entry(id="x", hf_model_id="o/n", hf_revision="v1"), HubSource("o/n", "v1")),
        (Entry(id="x", hf_model_id="o/n", storage_uri="hf://p/q:abc"), HubSource("p/q", "abc")),
        (Entry(id="x", hf_model_id="o/n", storage_uri="pvc://c/d"), HubSource("o/n")),
        (entry("hf://o/n"), HubSource("o/n")),
        (entry("hf://o/n:refs/pr/1", PIN), HubSource("o/n", "refs/pr/1", (PIN,))),
        (entry("hf://o/n", hf_revision="v2"), HubSource("o/n", "v2")),
        (entry("file:weights/demo.gguf"), FileSource("weights/demo.gguf")),
        (entry("file:weights/a%20b"), FileSource("weights/a b")),
        (entry("file:///srv/models"), FileSource("/srv/models")),
        (entry("https://example.org/m.gguf", PIN), WebSource("https://example.org/m.gguf", (PIN,))),
    ],
)
def test_sources(given: Entry, source: object) -> None:
    assert parse_source(given) == source


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (entry("s3://bucket/x"), "scheme"),
        (entry("weights/demo.gguf"), "scheme"),
        (entry("hf://gpt2"), "owner/name|repository of the Hub"),
        (entry("hf://a/b/c"), "repository of the Hub"),
        (entry("hf://a/..b"), "repository of the Hub"),
        (entry("hf://a/b:../../x"), "revision"),
        (entry("hf://a/b:-x"), "revision"),
        (entry("file://server/share"), "another machine"),
        (entry("file:"), "names no file"),
        (entry("https://example.org/m.gguf"), "sha256"),
        (entry("https://example.org/m", SourceFile(path="m")), "sha256 for 'm'"),
        (entry("https://user:secret@example.org/m", PIN), "user name or password"),
        (entry("https:///m", PIN), "not a web address"),
        (entry("https://example.org:99999/m", PIN), "not a web address"),
        (entry("https://good.example\\@evil.example/m", PIN), "not a web address"),
    ],
)
def test_sources_that_cannot_be_used_say_why(given: Entry, words: str) -> None:
    with pytest.raises(Unprocessable, match=words) as caught:
        parse_source(given)
    assert "secret" not in caught.value.sentence + caught.value.hint


def test_no_source_at_all_is_a_sentence() -> None:
    with pytest.raises(Unprocessable, match="names no source"):
        require_source(Entry(id="x", storage_uri="pvc://claim/x"))


@given(TEXT)
def test_any_uri_parses_or_says_why(uri: str) -> None:
    try:
        parse_source(entry(uri, PIN))
    except ModelManagerError as error:
        assert error.sentence.endswith(".")
