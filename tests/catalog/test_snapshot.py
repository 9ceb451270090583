"""What is made of the files of one revision."""

import json

from model_manager.catalog.files import FileResult, hash_of
from model_manager.catalog.parse import parse
from model_manager.catalog.snapshot import CatalogItem, Snapshot, assemble


def result(file: str, **fields: object) -> FileResult:
    data = json.dumps({"hfModelId": "o/n", **fields}).encode()
    entry, problems = parse(data, f"models/{file}.json")
    return FileResult(f"models/{file}.json", entry, hash_of(entry) if entry else "", file, problems)


def snapshot(*results: FileResult, **kept: CatalogItem) -> Snapshot:
    named = {found.file.removeprefix("models/"): found for found in results}
    return assemble("r1", "/tree", named, kept, lambda file, path: (7, 8))


def test_items_and_the_list_are_ordered_by_id() -> None:
    made = snapshot(result("b", id="b"), result("a", id="a", displayName="A", runtime="vllm", tags=["x"]))
    assert list(made.items) == ["a", "b"]
    assert json.loads(made.models_json) == [
        {"id": "a", "displayName": "A", "hfModelId": "o/n", "runtime": "vllm", "tags": ["x"]},
        {"id": "b", "displayName": "b", "hfModelId": "o/n"},
    ]
    assert made.items["a"].revision == "r1"
    assert not made.items["a"].stale


def test_an_empty_list_is_a_list() -> None:
    assert snapshot(result("a", id="A")).models_json == b"[]"


def test_t6_a_duplicate_id_names_both_files_and_is_unavailable() -> None:
    made = snapshot(result("x", id="x"), result("y", id="x"), result("z", id="z"))
    assert list(made.items) == ["z"]
    assert "models/x.json and models/y.json" in made.unavailable["x"]
    errors = [problem for problem in made.problems if problem.severity == "error"]
    assert [problem.file for problem in errors] == ["models/x.json", "models/y.json"]
    assert all((problem.line, problem.column, problem.field) == (7, 8, "id") for problem in errors)
    assert all("models/x.json and models/y.json" in problem.message for problem in errors)


def test_t6_a_duplicate_id_keeps_its_last_good_version() -> None:
    entry = result("x", id="x", displayName="old").entry
    assert entry
    made = snapshot(
        result("x", id="x"), result("y", id="x"), x=CatalogItem(entry, "models/x.json", "h", "r0", stale=True)
    )
    assert made.items["x"].stale and made.items["x"].revision == "r0"
    assert made.unavailable == {}
    assert json.loads(made.models_json)[0]["stale"] is True


def test_a_fresh_version_wins_over_a_kept_one() -> None:
    entry = result("x", id="x", displayName="old").entry
    assert entry
    made = snapshot(result("x", id="x"), x=CatalogItem(entry, "models/y.json", "h", "r0", stale=True))
    assert not made.items["x"].stale


def test_aliases_lead_to_their_entry() -> None:
    made = snapshot(result("a", id="a", aliases=["small", "a-1"]))
    assert made.names == {"a": "a", "small": "a", "a-1": "a"}


def test_an_alias_of_two_leads_to_neither() -> None:
    made = snapshot(result("a", id="a", aliases=["small"]), result("b", id="b", aliases=["small"]))
    assert made.names == {"a": "a", "b": "b"}
    assert [(problem.file, problem.field) for problem in made.problems] == [
        ("models/a.json", "aliases[0]"),
        ("models/b.json", "aliases[0]"),
    ]


def test_an_alias_never_hides_an_id() -> None:
    made = snapshot(result("a", id="a", aliases=["b"]), result("b", id="b"))
    assert made.names == {"a": "a", "b": "b"}
    assert len(made.problems) == 1
    made = snapshot(result("a", id="a", aliases=["x"]), result("x", id="x"), result("y", id="x"))
    assert "x" not in made.names, "an alias must not make another model of an unavailable id"


def test_the_hash_is_of_what_is_said_not_of_how() -> None:
    one, _ = parse(b'{"id":"a","tags":["x"],"hfModelId":"o/n","unknown":1}', "models/a.json")
    two, _ = parse(
        b'{\n  "hfModelId": "o/n",\n  "tags": ["x"], "id": "a", "license": null\n}\n', "models/a.json"
    )
    other, _ = parse(b'{"id":"a","tags":["y"],"hfModelId":"o/n"}', "models/a.json")
    assert one and two and other
    assert hash_of(one) == hash_of(two) != hash_of(other)
