"""`model-manager catalog`: where the models come from, and a gate for catalog repositories."""

from pathlib import Path
from typing import Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Debug, Session, client_command, reading_command
from model_manager.cli.exit_codes import FAILED, OK
from model_manager.cli.group import noun

app = noun("catalog", "Where models come from; alone, shows its state.", default="status")


@app.command()
@reading_command
def status(session: Session) -> None:
    """Show the catalog's source, its commit, and what is wrong in it.

    Example: model-manager catalog
    """

    def text(info: dict[str, Any]) -> None:
        print_status(info["catalog"])

    session.show(text, "system", "info")


def print_status(catalog: dict[str, Any]) -> None:
    age = catalog.get("ageSeconds")
    output.facts(
        (
            ("source", catalog.get("source") or catalog.get("root")),
            ("revision", catalog.get("revision")),
            ("models", catalog.get("count")),
            ("read", f"{output.human_seconds(age)} ago" if age is not None else None),
            ("stale since", catalog.get("staleSince")),
            ("error", catalog.get("error")),
            ("problems", catalog.get("problems")),
        )
    )


@app.command()
@client_command
def refresh(session: Session) -> None:
    """Read the catalog again now.

    Example: model-manager catalog refresh
    """
    answer = session.client.post("refresh")
    output.say(f"{answer.get('message', 'Catalog refreshed')}: {len(answer['models'])} models.")


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Root of a catalog repository, or one file.")],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    debug: Debug = False,
) -> int:
    """Check a catalog's files; exit code 1 on errors.

    Example: model-manager catalog check ./catalog
    """
    from model_manager.catalog.check import check as problems_in

    problems = problems_in(path)
    for problem in problems:
        where = f"{problem.file}:{problem.line}:{problem.column}"
        field = f"{problem.field}: " if problem.field else ""
        output.say(f"{where}: {problem.severity}: {field}{problem.message}")
        if problem.hint:
            output.say(f"  {problem.hint}")
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    output.note(f"{errors} errors, {warnings} warnings" if problems else "No problems.")
    return FAILED if errors or (strict and warnings) else OK
