"""The one way to write a catalog file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model_manager.catalog.fmt import files_of, formatted, replace
from model_manager.catalog.parse import MAX_SIZE, parse
from model_manager.errors import NotFound
from tests.catalog.conftest import Repo

NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", max_size=3), inner, max_size=3)
    ),
    max_leaves=10,
)


def test_known_fields_come_in_the_order_of_the_format_and_unknown_ones_last() -> None:
    data = b'{"zebra": 1, "apple": 2, "hfModelId": "o/n", "id": "a", "$schema": "../catalog.schema.json"}'
    wanted, problems = formatted(data, "a.json")
    assert wanted is not None
    assert not problems
    assert list(json.loads(wanted)) == ["$schema", "id", "hfModelId", "zebra", "apple"]
    assert wanted.startswith(b'{\n  "$schema": ') and wanted.endswith(b"\n}\n")


@given(st.dictionaries(st.sampled_from(["id", "vllm", "tags", "x", "y"]), VALUES))
def test_nothing_changes_its_meaning_and_the_second_time_changes_nothing(value: dict[str, object]) -> None:
    wanted, problems = formatted(json.dumps(value).encode(), "a.json")
    assert wanted is not None, problems
    assert json.loads(wanted) == value
    assert formatted(wanted, "a.json")[0] == wanted


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"id": "a", "id": "b"}', "is there twice"),
        (b'{"id": "a",}', "is not valid JSON"),
        (b"[]", "must hold one JSON object"),
        (b"", "is empty"),
        (b'{"id": "' + b"x" * MAX_SIZE + b'"}', "is larger than 1 MiB"),
    ],
)
def test_what_is_broken_is_told_and_left_alone(data: bytes, message: str) -> None:
    wanted, problems = formatted(data, "a.json")
    assert wanted is None
    assert message in problems[0].message


def test_wrong_values_are_no_reason_to_refuse() -> None:
    assert formatted(b'{"id": 3}', "a.json")[0] == b'{\n  "id": 3\n}\n'


def test_the_starter_catalog_is_formatted() -> None:
    for file in files_of(Path("examples/catalog")):
        data = file.read_bytes()
        assert formatted(data, file.name)[0] == data
        assert parse(data, file.name)[1] == ()


def test_a_replaced_file_keeps_its_rights_and_a_link_stays_one(tmp_path: Path) -> None:
    file, link = tmp_path / "a.json", tmp_path / "link.json"
    file.write_text("{}")
    file.chmod(0o640)
    link.symlink_to("a.json")
    replace(link, b"new")
    assert link.is_symlink()
    assert (file.read_bytes(), file.stat().st_mode & 0o777) == (b"new", 0o640)
    assert {path.name for path in tmp_path.iterdir()} == {"a.json", "link.json"}


def test_which_files(repo: Repo) -> None:
    inside = repo.put("a")
    (repo.path / "catalog.schema.json").write_text("{}")
    assert files_of(repo.path) == files_of(repo.path / "models") == files_of(inside) == [inside]
    inside.unlink()
    with pytest.raises(NotFound, match=r"no \.json file"):
        files_of(repo.path)
