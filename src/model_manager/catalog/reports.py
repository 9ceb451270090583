"""Problems for those who read them: people, programs, and the pages of a merge request. Pure.

GitHub: workflow commands, https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
GitLab: a Code Quality report, https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format.
"""

import hashlib
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from model_manager.catalog.problem import Problem


def as_text(problems: Iterable[Problem]) -> str:
    """One `file:line:column:` line each, as compilers write them, with the hint below."""
    lines = []
    for problem in problems:
        field = f"{problem.field}: " if problem.field else ""
        lines.append(
            f"{problem.file}:{problem.line}:{problem.column}: {problem.severity}: {field}{problem.message}"
        )
        if problem.hint:
            lines.append(f"  {problem.hint}")
    return "\n".join(lines)


def as_json(problems: Iterable[Problem]) -> str:
    """`{"problems": […]}`, as `GET /catalog/problems` lists them."""
    return msgspec.json.encode({"problems": list(problems)}).decode()


def as_github(problems: Iterable[Problem]) -> str:
    """Annotations on the lines of a pull request."""
    return "\n".join(
        f"::{problem.severity} file={_property(problem.file)},line={problem.line},col={problem.column}::"
        f"{_data(_sentence(problem))}"
        for problem in problems
    )


def as_gitlab(problems: Iterable[Problem]) -> str:
    """A Code Quality report. A problem's fingerprint survives a move to another line."""
    return msgspec.json.encode([_issue(problem) for problem in problems]).decode()


REPORTS: dict[str, Callable[[Iterable[Problem]], str]] = {
    "text": as_text,
    "json": as_json,
    "github": as_github,
    "gitlab": as_gitlab,
}


def _issue(problem: Problem) -> dict[str, Any]:
    identity = "\0".join((problem.file, problem.field, problem.message))
    return {
        "description": _sentence(problem),
        "check_name": "catalog",
        "fingerprint": hashlib.sha256(identity.encode()).hexdigest(),
        "severity": "major" if problem.severity == "error" else "minor",
        "location": {"path": problem.file, "lines": {"begin": problem.line}},
    }


def _sentence(problem: Problem) -> str:
    field = f"{problem.field}: " if problem.field else ""
    return f"{field}{problem.message}" + (f" ({problem.hint})" if problem.hint else "")


def _data(text: str) -> str:
    """Without line ends: they would begin another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
