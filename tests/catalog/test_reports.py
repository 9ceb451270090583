"""Problems as people, programs, GitHub and GitLab read them."""

import json

from model_manager.catalog.problem import Problem
from model_manager.catalog.reports import REPORTS

ERROR = Problem("models/a,b.json", 3, 7, "vllm.dtype", "must be a string\n::error::no, 100%", "write `auto`")
WARNING = Problem("models/c.json", 1, 1, "", "is odd", severity="warning")


def test_text_is_what_editors_jump_to() -> None:
    first, *_, hint = REPORTS["text"]([WARNING, Problem("a.json", 2, 3, "id", "is missing", "add it")]).split(
        "\n"
    )
    assert first == "models/c.json:1:1: warning: is odd"
    assert hint == "  add it"


def test_json_is_what_the_api_lists() -> None:
    told = json.loads(REPORTS["json"]([WARNING]))["problems"]
    assert [(p["file"], p["line"], p["severity"]) for p in told] == [("models/c.json", 1, "warning")]
    assert json.loads(REPORTS["json"]([])) == {"problems": []}


def test_github_gets_one_command_a_problem_whatever_is_in_it() -> None:
    assert REPORTS["github"]([ERROR, WARNING]).split("\n") == [
        "::error file=models/a%2Cb.json,line=3,col=7::"
        "vllm.dtype: must be a string%0A::error::no, 100%25 (write `auto`)",
        "::warning file=models/c.json,line=1,col=1::is odd",
    ]


def test_gitlab_gets_a_code_quality_report_whose_fingerprints_survive_a_move() -> None:
    moved = Problem(ERROR.file, 30, 1, ERROR.field, ERROR.message, ERROR.hint)
    issues = json.loads(REPORTS["gitlab"]([ERROR, moved, WARNING]))
    assert issues[0]["fingerprint"] == issues[1]["fingerprint"] != issues[2]["fingerprint"]
    assert issues[0]["location"] == {"path": "models/a,b.json", "lines": {"begin": 3}}
    assert [issue["severity"] for issue in issues] == ["major", "major", "minor"]
    assert all(issue["description"] and issue["check_name"] for issue in issues)
    assert REPORTS["gitlab"]([]) == "[]"
