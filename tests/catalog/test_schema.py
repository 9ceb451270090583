"""The schema is the types', the examples obey it, and the docs tell every field."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest

import model_manager.catalog
from model_manager.catalog import schema
from model_manager.catalog.check import check
from model_manager.catalog.entry import Entry, Resources, Source, SourceFile, Vllm
from model_manager.catalog.parse import parse
from tests.catalog.test_original_files import FILES

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples/catalog/models").glob("*.json"))
COPIES = [
    Path(model_manager.catalog.__file__).parent / "catalog.schema.json",
    ROOT / "examples/catalog/catalog.schema.json",
]
DOCS = (ROOT / "docs/catalog.md").read_text()


@pytest.mark.parametrize("copy", COPIES, ids=["package", "example"])
def test_the_copies_equal_the_types(copy: Path) -> None:
    hint = f"python -m model_manager.catalog.schema > {copy}"
    assert copy.read_text() == schema.text(), hint


def test_every_field_says_what_it_is_for() -> None:
    assert list(schema.FIELDS) == list(Entry.__struct_encode_fields__)


def test_the_schema_refuses_what_the_parser_refuses() -> None:
    validator = jsonschema.Draft202012Validator(schema.schema())
    validator.check_schema(schema.schema())
    for bad in (
        {},
        {"id": "A"},
        {"id": "a", "vllm": {"maxModelLen": 0}},
        {"id": "a", "task": "x"},
        {"id": "a", "tags": 1},
    ):
        assert not validator.is_valid(bad)
        assert parse(json.dumps(bad).encode(), "models/a.json")[0] is None


@pytest.mark.parametrize("value", FILES.values(), ids=FILES.keys())
def test_original_entries_obey_it(value: dict[str, Any]) -> None:
    jsonschema.validate(value, schema.schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_obeys_it(path: Path) -> None:
    jsonschema.validate(json.loads(path.read_text()), schema.schema())
    entry, problems = parse(path.read_bytes(), f"models/{path.name}")
    assert entry and problems == ()
    assert entry.description and entry.license and entry.runtime in ("llama-cpp", "vllm")
    if entry.source is None:
        assert "not-run-here" in entry.tags and "Not run by us" in entry.description
        assert entry.hf_revision is None, "a commit that we never saw"


def test_the_example_catalog_has_no_problem() -> None:
    assert {"demo", "demo-pirate"} < {path.stem for path in EXAMPLES}
    assert check(ROOT / "examples/catalog") == []


@pytest.mark.parametrize("name", ["demo", "demo-pirate"])
def test_the_demo_weights_are_the_ones_that_the_entry_names(name: str) -> None:
    from hashlib import sha256

    entry, _ = parse((ROOT / f"examples/catalog/models/{name}.json").read_bytes(), f"models/{name}.json")
    assert entry and entry.source
    for file in entry.source.files:
        data = (ROOT / "examples/catalog" / entry.source.uri.removeprefix("file:") / file.path).read_bytes()
        assert (sha256(data).hexdigest(), len(data)) == (file.sha256, file.size)


@pytest.mark.parametrize("struct", [Entry, Vllm, Source, SourceFile, Resources])
def test_the_docs_tell_every_field_with_an_example(struct: type[msgspec.Struct]) -> None:
    examples = "\n".join(re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL))
    for name in struct.__struct_encode_fields__:
        assert f"`{name}`" in DOCS, f"docs/catalog.md does not explain {name}"
        assert f'"{name}":' in examples, f"docs/catalog.md has no example of {name}"


def test_the_examples_in_the_docs_load() -> None:
    examples = re.findall(r"```json\n(.*?)```", DOCS, re.DOTALL)
    assert examples
    for example in examples:
        id_ = json.loads(example)["id"]
        assert parse(example.encode(), f"models/{id_}.json")[1] == (), example
