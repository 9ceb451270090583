# ruff: noqa: E501 - tables
"""Bytes to an entry or to problems: tables of what people and editors produce."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model_manager.catalog.parse import MAX_SIZE, parse


def told(data: bytes | str, file: str = "models/a.json") -> list[str]:
    return [str(problem) for problem in parse(data.encode() if isinstance(data, str) else data, file)[1]]


def nested(levels: int) -> str:
    return '{"id":"a","hfModelId":"o/n","parameters":{"x":' + "[" * levels + "]" * levels + "}}"


MALFORMED = {
    "empty": (b"  \n", "1:1: is empty"),
    "bom": (b'\xef\xbb\xbf{"id":"a"}', "1:1: begins with a byte order mark"),
    "utf-16": ('{"id":"a"}'.encode("utf-16"), "1:1: is not UTF-8 but looks like UTF-16"),
    "utf-16 without mark": ('{"id":"a"}'.encode("utf-16-le"), "1:1: is not UTF-8 but looks like UTF-16"),
    "latin-1": (b'{"id":"a",\n"displayName":"\xe9t\xe9"}', "2:16: is not UTF-8: byte 0xe9"),
    "two megabytes": (b'{"id":"a"}' + b" " * 2 * MAX_SIZE, "1:1: is larger than 1 MiB"),
    "a list": (b'[{"id":"a"}]', "1:1: must hold one JSON object"),
    "null": (b"null", "1:1: must hold one JSON object"),
    "wrong bracket": (
        b'{"id":"a",\n "env":[\n  {"name":"A"]\n]}',
        "3:14: is not valid JSON: expecting ',' delimiter, found ']' (the `{` of line 3 is still open here)",
    ),
    "trailing comma": (b'{"id":"a",\n}', "(remove the last comma)"),
    "cut off": (b'{"id":"a"', "found the end of the file (the `{` of line 1 is still open here)"),
    "unterminated": (b'{"id":"a', "1:7: is not valid JSON: unterminated string"),
    "two values": (b'{"id":"a"}{}', "1:11: is not valid JSON: extra data"),
    "NaN": (b'{"id":"a","parameters":{"t":\nNaN}}', "2:1: `NaN` is no JSON number"),
    "infinity": (b'{"id":"a","parameters":{"t":-Infinity}}', "1:29: `-Infinity` is no JSON number"),
    "infinite by exponent": (b'{"id":"a","parameters":{"t":1e999}}', "1:29: the number '1e999' is too large"),
    "5,000 digits": (b'{"id":"a","parameters":{"t":' + b"9" * 5000 + b"}}", "1:29: the number '999"),
    "duplicate key": (b'{"id":"a",\n "id":"b"}', "2:2: id: is there twice in one object"),
    "duplicate key inside": (
        b'{"id":"a","env":[{"name":"A","name":"B"}]}',
        "1:30: env[0].name: is there twice in one object",
    ),
    "half a surrogate": (
        b'{"id":"a","displayName":"\\ud800"}',
        "1:25: displayName: holds half of a surrogate pair",
    ),
    "NUL": (b'{"id":"a","env":[{"name":"A","value":"x\\u0000"}]}', "env[0].value: holds a NUL character"),
    "NUL in a key": (b'{"id":"a","nodeSelector":{"\\u0000":"x"}}', "holds a NUL character"),
    "65 levels": (nested(63).encode(), "is nested more than 64 levels deep"),
}


@pytest.mark.parametrize(("data", "expected"), MALFORMED.values(), ids=MALFORMED.keys())
def test_t3_t4_t5_t8_malformed_files(data: bytes, expected: str) -> None:
    entry, problems = parse(data, "models/a.json")
    assert entry is None
    assert any(expected in str(problem) for problem in problems), told(data)
    assert problems[0].severity == "error"


FIELDS = {
    "missing id": ("{}", "1:1: `id` is missing"),
    "null id": ('{"id":null}', "1:1: `id` is missing"),
    "a number for an id": ('{"id": 1.10}', "1:8: id: must be a string, not a number (write it in quotes: \"1.1\")"),
    "upper case": ('{"id":"Qwen"}', "id: must be lower-case letters, digits"),
    "out of the folder": ('{"id":"../x"}', "id: must be lower-case letters, digits"),
    "look-alike": ('{"id":"p\u0430ypal"}', "not 'p\\u0430ypal'"),
    "300 characters": (json.dumps({"id": "a" * 300}), "id: must be at most 63 characters long, not 300"),
    "line feed at the end": ('{"id":"a\\n"}', "id: must end with a letter or digit, not with a line feed"),
    "device": ('{"id":"con"}', "id: `con` is a device name on Windows"),
    "device with a suffix": ('{"id":"nul.json"}', "id: `nul.json` is a device name on Windows"),
    "wrong type inside": (
        '{"id":"a",\n"vllm":{\n"maxModelLen":"4096"}}',
        "3:15: vllm.maxModelLen: must be a whole number, not a string",
    ),
    "number for a quantity": (
        '{"id":"a","resources":{"limits":{"cpu":"1",\n"nvidia.com/gpu":1}}}',
        '2:18: resources.limits["nvidia.com/gpu"]: must be a string, not a whole number (write it in quotes: "1")',
    ),
    "bad quantity": ('{"id":"a","resources":{"limits":{"memory":"16 GB"}}}', "is no Kubernetes quantity"),
    "number out of range": (
        '{"id":"a","vllm":{"gpuMemoryUtilization":1.5}}',
        "vllm.gpuMemoryUtilization: must be at most 1, not 1.5",
    ),
    "no such choice": ('{"id":"a","task":"talk"}', "task: must be `chat` or `embed`, not 'talk'"),
    "list expected": ('{"id":"a","tags":"x"}', "tags: must be a list, not a string"),
    "object expected": ('{"id":"a","vllm":[]}', "vllm: must be an object, not a list"),
    "null in a list": ('{"id":"a","tags":[null]}', "tags[0]: must be a string, not null"),
    "Hub id": ('{"id":"a","hfModelId":"gpt2"}', "hfModelId: must have the form owner/name"),
    "Hub revision": ('{"id":"a","hfRevision":"--upload-pack=x"}', "hfRevision: must be a commit, branch or tag"),
    "template": (
        '{"id":"a","env":[{"name":"T","value":"{{.Name}}"}]}',
        "env[0].value: holds `{{`, which KServe would execute as a template",
    ),
    "template in args": ('{"id":"a","args":["--chat-template","{{ x }}"]}', "args[1]: holds `{{`"),
    "template in extraArgs": ('{"id":"a","vllm":{"extraArgs":["{{ x }}"]}}', "vllm.extraArgs[0]: holds `{{`"),
    "name of a variable": ('{"id":"a","env":[{"name":"A=B"}]}', "cannot be the name of an environment variable"),
    "value twice": (
        '{"id":"a","env":[{"name":"A","value":"1","valueFrom":{"secretKeyRef":{"name":"s","key":"k"}}}]}',
        "env[0]: has both `value` and `valueFrom`",
    ),
    "runtime": ('{"id":"a","runtime":"../vllm"}', "runtime: '../vllm' cannot be the name of a ServingRuntime"),
    "alias": ('{"id":"a","aliases":["a b"]}', "aliases[0]: 'a b' is no name"),
    "pattern": ('{"id":"a","files":["../*"]}', "files[0]: '../*' must not leave its folder"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "expected"), FIELDS.values(), ids=FIELDS.keys())
def test_t5_t6_t9_fields(data: str, expected: str) -> None:
    entry, _ = parse(data.encode(), "models/a.json")
    assert entry is None
    assert any(expected in line for line in told(data)), told(data)


def test_every_wrong_field_is_told_at_once() -> None:
    lines = told('{"id":"A","task":1,"vllm":{"dtype":2},"contextLength":0}')
    assert [line.split(": ")[1] for line in lines] == ["id", "vllm.dtype", "contextLength", "task"]


STORAGE = {
    "pvc://venus-model-storage": None,
    "pvc://venus-model-storage/qwen2.5-1.5b": None,
    "pvc://venus-model-storage/openai/gpt-oss-120b": None,
    "hf://Qwen/Qwen2.5-0.5B-Instruct": None,
    "hf://Qwen/Qwen2.5-0.5B-Instruct:main": None,
    "s3://bucket/path": None,
    "oci://registry.example.org/model:1": None,
    "https://example.org/model.tar": None,
    "": "is no URI",
    "models/qwen": "has no scheme",
    "pvc:/claim/x": "has no scheme",
    "pcv://claim/x": "(did you mean `pvc`?)",
    "ftp://host/x": "`ftp://` is no scheme that KServe can fetch weights from",
    "pvc://": "names nothing behind `pvc://`",
    "pvc://Claim/x": "cannot be the name of a claim",
    "pvc://claim/../x": "must not leave its folder by `..`",
    "pvc://claim//x": "must be a relative path",
    "pvc://claim/a//b": "has an empty part",
    "pvc://cl aim/x": "has white space",
    "hf://gpt2": "must have the form hf://owner/name[:revision]",
    "https://user:geheim@example.org/x": "holds a user name or password",
}


@pytest.mark.parametrize(("uri", "expected"), STORAGE.items(), ids=STORAGE.keys())
def test_storage_uri(uri: str, expected: str | None) -> None:
    data = json.dumps({"id": "a", "hfModelId": "o/n", "storageUri": uri})
    lines = told(data)
    if expected is None:
        assert lines == []
    else:
        assert len(lines) == 1 and "storageUri: " in lines[0] and expected in lines[0]
        assert "geheim" not in lines[0]


HASH = "0" * 64
SOURCES = {
    "relative": ({"uri": "file:weights/demo", "files": [{"path": "a/b.gguf", "sha256": HASH, "size": 1}]}, None),
    "relative, all of it": ({"uri": "file:weights/demo/"}, None),
    "absolute": ({"uri": "file:///srv/weights"}, None),
    "absolute, short": ({"uri": "file:/srv/weights"}, None),
    "https": ({"uri": "https://example.org/x/", "files": [{"path": "m.gguf", "sha256": HASH}]}, None),
    "hub": ({"uri": "hf://owner/name"}, None),
    "leaves the catalog": ({"uri": "file:../weights"}, "must not leave its folder"),
    "leaves it on the way": ({"uri": "file:weights/../../x"}, "must not leave its folder"),
    "absolute with dots": ({"uri": "file:///srv/../etc"}, "must not hold `..`"),
    "a host": ({"uri": "file://weights/demo"}, "names the host 'weights'"),
    "http": ({"uri": "http://example.org/x"}, "must be https"),
    "https without files": ({"uri": "https://example.org/x"}, "lists no files"),
    "https without a hash": ({"uri": "https://example.org/", "files": [{"path": "m"}]}, "source.files[0]: has no `sha256`"),
    "https with a password": (
        {"uri": "https://u:geheim@example.org/", "files": [{"path": "m", "sha256": HASH}]},
        "holds a user name or password",
    ),
    "https without a host": ({"uri": "https:///x", "files": [{"path": "m", "sha256": HASH}]}, "names no host"),
    "no scheme": ({"uri": "weights/demo"}, "is neither file:, https: nor hf://"),
    "other scheme": ({"uri": "ssh://host/x"}, "is neither file:, https: nor hf://"),
    "hub with one part": ({"uri": "hf://gpt2"}, "must have the form hf://owner/name"),
    "a file outside": ({"uri": "file:w", "files": [{"path": "../../etc/passwd"}]}, "source.files[0].path: '../../etc"),
    "an absolute file": ({"uri": "file:w", "files": [{"path": "/etc/passwd"}]}, "must be a relative path"),
    "a long name": ({"uri": "file:w", "files": [{"path": "x" * 300}]}, "is too long for a file system"),
    "a bad hash": ({"uri": "file:w", "files": [{"path": "a", "sha256": "F" * 64}]}, "64 lower-case hexadecimal"),
    "white space": ({"uri": "file:my weights"}, "has white space in it"),
}  # fmt: skip


@pytest.mark.parametrize(("source", "expected"), SOURCES.values(), ids=SOURCES.keys())
def test_source(source: dict[str, object], expected: str | None) -> None:
    lines = told(json.dumps({"id": "a", "source": source}))
    if expected is None:
        assert lines == []
    else:
        assert any(expected in line for line in lines), lines
        assert not any("geheim" in line for line in lines)


WARNINGS = {
    "typo": ('{"id":"a","hfModelId":"o/n","vllm":{"maxModelLn":1}}', "1:37: warning: vllm.maxModelLn: is no field", "maxModelLen"),
    "kebab case, one level up": (
        '{"id":"a","hfModelId":"o/n","vllm":{"served-model-name":"x"}}',
        'warning: vllm["served-model-name"]: is no field',
        "did you mean `servedModelName`, outside of `vllm`?",
    ),
    "from a newer version": ('{"id":"a","hfModelId":"o/n","schemaVersion":9}', "warning: schemaVersion: is no field", ""),
    "no weights": ('{"id":"a"}', "1:1: warning: names no weights", "hfModelId"),
    "another file name": ('{"id":"b","hfModelId":"o/n"}', "warning: id: is `b`, but the file is named `a.json`", "b.json"),
    "pooling of a chat model": ('{"id":"a","hfModelId":"o/n","pooling":"mean"}', "warning: pooling: has no effect", ""),
    "variable twice": (
        '{"id":"a","hfModelId":"o/n","env":[{"name":"A","value":"1"},{"name":"A","value":"2"}]}',
        "warning: env[1].name: `A` is there already",
        "",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("data", "expected", "hint"), WARNINGS.values(), ids=WARNINGS.keys())
def test_t12_warnings_never_fail(data: str, expected: str, hint: str) -> None:
    entry, problems = parse(data.encode(), "models/a.json")
    assert entry is not None
    assert len(problems) == 1
    assert expected in str(problems[0]) and hint in problems[0].hint


@pytest.mark.parametrize(
    "data",
    [
        b'{"id":"a","hfModelId":"o/n"}',
        b'{\r\n "id":"a",\r\n "hfModelId":"o/n"\r\n}\r\n',
        b'{"$schema":"../catalog.schema.json","id":"a","hfModelId":"o/n"}',
        b'{"id":"a","hfModelId":"o/n","storageUri":null,"resources":null,"tolerations":null,"vllm":{"dtype":null}}',
        b'{"id":"a","hfModelId":"o/n","vllm":{"gpuMemoryUtilization":1,"maxModelLen":4096}}',
        '{"id":"a","hfModelId":"o/n","displayName":"Müller \\ud83d\\ude00 🙂"}'.encode(),
        nested(62).replace("o/n", "o/n").encode(),
    ],
    ids=["plain", "crlf", "$schema", "nulls", "whole number as float", "unicode", "64 levels"],
)
def test_accepted_without_a_word(data: bytes) -> None:
    entry, problems = parse(data, "models/a.json")
    assert problems == ()
    assert entry is not None and entry.id == "a"


def test_t13_a_hostile_string_stays_on_its_line() -> None:
    (line,) = told('{"id":"a","hfModelId":"o/n","runtime":"x\\u001b[31m\\nFAKE:1:1: all is well"}')
    assert "\n" not in line and "\x1b" not in line
    (line,) = told("[]", "models/a\nb\x1b.json")
    assert "\n" not in line and "\x1b" not in line


HOSTILE = {
    "half a million quotes": b'"' + b'\\"' * 500_000,
    "a million brackets": b"[" * 1_000_000,
    "many empty lists": b'{"id":"a","parameters":{"x":[' + b"[]," * 340_000 + b"[]]}}",
    "all duplicate": b'{"id":"a",' + b'"x":1,' * 150_000 + b'"x":1}',
    "many unknown fields": json.dumps({"id": "a", **{f"f{index}": 1 for index in range(60_000)}}).encode(),
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_t4_a_hostile_file_costs_no_more_than_its_size(data: bytes) -> None:
    assert len(data) <= MAX_SIZE
    started = time.process_time()
    _, problems = parse(data, "models/a.json")
    assert time.process_time() - started < 10.0  # quadratic work on a megabyte takes minutes
    assert 0 < len(problems) <= 101


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELD_NAMES = st.sampled_from(
    [
        "id",
        "env",
        "vllm",
        "resources",
        "source",
        "files",
        "storageUri",
        "aliases",
        "tolerations",
        "volumeMounts",
        "x",
    ]
)


@given(st.dictionaries(FIELD_NAMES, JSON, max_size=6))
@settings(max_examples=200, deadline=None)
def test_any_json_is_an_entry_or_a_problem(value: dict[str, object]) -> None:
    entry, problems = parse(json.dumps(value).encode(), "models/a.json")
    assert entry is not None or any(problem.severity == "error" for problem in problems)
    assert all(problem.line >= 1 and problem.column >= 1 and str(problem) for problem in problems)


@given(st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_problem(data: bytes) -> None:
    entry, problems = parse(b'{"id":"a",' + data, "models/a.json")
    assert entry is not None or problems
