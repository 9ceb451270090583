"""`model-manager catalog`: where the models come from, and a gate for catalog repositories."""

from pathlib import Path
from typing import Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Debug, Session, answering_command
from model_manager.cli.exit_codes import FAILED, OK
from model_manager.cli.group import noun

app = noun("catalog", "Where models come from; alone, shows its state.", default="status")


@app.command()
@answering_command
def status(session: Session) -> None:
    """Show the catalog's source, its commit, and what is wrong in it.

    Example: model-manager catalog
    """

    def text(info: dict[str, Any]) -> None:
        catalog = info["catalog"]
        output.facts(
            (
                ("source", f"{catalog['root']} ({catalog['kind']})"),
                ("revision", catalog["revision"]),
                ("models", catalog["count"]),
                ("read", _freshness(catalog)),
                ("stale since", catalog["staleSince"]),
                ("error", catalog["error"]),
                ("problems", catalog["problems"]),
            )
        )
        if catalog["problems"]:
            _print_problems(session.client.get("catalog", "problems")["problems"])

    session.show(text, "system", "info")


def _freshness(catalog: dict[str, Any]) -> str | None:
    """Two times: a catalog that has not changed for days may have been looked at a second ago."""
    if not catalog["lastRefresh"]:
        return None
    looked = output.human_seconds(catalog["ageSeconds"])
    return f"changed {output.ago(catalog['lastRefresh'])}, looked at {looked} ago"


def _print_problems(problems: list[dict[str, Any]]) -> None:
    """One `file:line:column:` line each, as compilers write them, so that editors can jump there."""
    for problem in problems:
        where = f"{problem['file']}:{problem['line']}:{problem['column']}"
        field = f"{problem['field']}: " if problem["field"] else ""
        output.say(f"{where}: {problem['severity']}: {field}{problem['message']}")
        if problem["hint"]:
            output.say(f"  {problem['hint']}")


@app.command()
@answering_command
def refresh(session: Session) -> None:
    """Read the catalog again now.

    Example: model-manager catalog refresh
    """
    answer = session.client.post("refresh")
    models = output.count(len(answer["models"]), "model")
    session.tell(f"{answer['message']}: {models} at commit {answer['revision'][:12]}.", answer)
    if not session.json:
        _print_problems(answer["problems"])


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Root of a catalog repository, or one file.")],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    debug: Debug = False,
) -> int:
    """Check a catalog's files; exit code 1 on errors.

    Example: model-manager catalog check ./catalog
    """
    from msgspec import to_builtins

    from model_manager.catalog.check import check as problems_in

    problems = problems_in(path)
    _print_problems(to_builtins(problems))
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    output.note(
        f"{output.count(errors, 'error')}, {output.count(warnings, 'warning')}."
        if problems
        else "No problems."
    )
    return FAILED if errors or (strict and warnings) else OK
