"""`model-manager catalog`: where the models come from, and a gate for catalog repositories."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from model_manager import client as api
from model_manager.cli import entries, output, records
from model_manager.cli.command import Debug, Session, Watch, answering_command
from model_manager.cli.exit_codes import FAILED, OK
from model_manager.cli.group import noun

app = noun("catalog", "Where models come from; alone, shows its state.", default="status")
entries.add_to(app)


def _source(catalog: "api.types.CatalogView") -> str:
    return f"{catalog.source} ({catalog.kind})"


def _freshness(catalog: "api.types.CatalogView") -> str | None:
    """Two times: a catalog that has not changed for days may have been looked at a second ago."""
    if not catalog.loaded_at:
        return None
    looked = output.human_seconds(catalog.age_seconds)
    return f"changed {output.ago(catalog.loaded_at)}, looked at {looked} ago"


FACTS: records.Told = (
    ("source", _source), ("revision", "revision"), ("models", "count"), ("read", _freshness),
    ("stale since", "stale_since"), ("error", "error"), ("hint", "hint"),
    ("problems", lambda catalog: len(catalog.problems) or None),
)  # fmt: skip


@app.command()
@answering_command
def status(session: Session, watch: Watch = False) -> None:
    """Show the catalog's source, its commit, and what is wrong in it.

    Example: model-manager catalog
    """

    records.show_one(
        session, api.calls.get_catalog(), FACTS, watch=watch,
        beside=lambda catalog: _print_problems(catalog.problems),
    )  # fmt: skip


@app.command()
@answering_command
def problems(session: Session) -> None:
    """List what is wrong in the catalog's files, with file and line.

    Example: model-manager catalog problems
    """

    def text(answer: "api.types.Problems") -> None:
        _print_problems(answer.problems)
        if not answer.problems:
            output.note("No problems.")

    session.ask(text, api.calls.catalog_problems())


def _print_problems(problems: "list[api.types.Problem]") -> None:
    from msgspec import convert

    from model_manager.catalog.problem import Problem
    from model_manager.catalog.reports import as_text

    if problems:
        output.say(as_text(convert(problems, list[Problem], from_attributes=True)))


@app.command()
@answering_command
def refresh(session: Session) -> None:
    """Read the catalog again now.

    Example: model-manager catalog refresh
    """

    def text(answer: "api.types.Refreshed") -> None:
        models = output.count(len(answer.models), "model")
        output.done(f"{answer.message}: {models} at commit {answer.revision[:12]}.")
        _print_problems(answer.problems)

    session.ask(text, api.calls.refresh())


class Report(StrEnum):
    text = "text"
    json = "json"
    github = "github"
    gitlab = "gitlab"


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="PATH", help="Root of a catalog repository, or one file.")],
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
    report: Annotated[
        Report,
        typer.Option(
            "--format", help="`github`: annotations; `gitlab`: a Code Quality report.", show_default=False
        ),
    ] = Report.text,
    debug: Debug = False,
) -> int:
    """Check a catalog's files; exit code 1 on errors.

    Example: model-manager catalog check ./catalog
    """
    from msgspec.structs import replace

    from model_manager.catalog.check import check as problems_in
    from model_manager.catalog.reports import REPORTS

    problems = problems_in(path)
    if report in (Report.github, Report.gitlab):  # they know files by their place in the repository
        base = path if path.is_dir() else path.parent
        problems = [replace(problem, file=(base / problem.file).as_posix()) for problem in problems]
    if text := REPORTS[report](problems):
        output.say(text)
    errors = sum(problem.severity == "error" for problem in problems)
    warnings = len(problems) - errors
    output.note(
        f"{output.count(errors, 'error')}, {output.count(warnings, 'warning')}."
        if problems
        else "No problems."
    )
    return FAILED if errors or (strict and warnings) else OK


@app.command()
def fmt(
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Catalogs, folders or files.")],
    only_check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit code 1 if anything would.")
    ] = False,
    debug: Debug = False,
) -> int:
    """Write a catalog's files in the one way; says which changed.

    Example: model-manager catalog fmt ./catalog
    """
    from model_manager.catalog import fmt as files
    from model_manager.catalog.reports import as_text

    changed = broken = 0
    found = [file for path in paths for file in files.files_of(path)]
    for file in found:
        data = files.read(file)
        wanted, problems = files.formatted(data, file.as_posix())
        if wanted is None:
            broken += 1
            output.say(as_text(problems))
        elif wanted != data:
            changed += 1
            output.say(f"{'would change' if only_check else 'changed'} {file}")
            if not only_check:
                files.replace(file, wanted)
    output.note(
        f"{output.count(len(found), 'file')}, {changed} changed{f', {broken} broken' if broken else ''}."
    )
    return FAILED if broken or (only_check and changed) else OK
