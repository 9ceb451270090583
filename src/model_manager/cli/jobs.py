"""`model-manager jobs`: long work with progress."""

from typing import Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, answering_command
from model_manager.cli.group import noun
from model_manager.cli.waiting import progress_text, subject, wait_for_job

app = noun("jobs", "Long work such as installs; alone, lists it.")

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of a job, as `jobs list` shows it.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many, newest first.")]


@app.command("list")
@answering_command
def list_jobs(session: Session, limit: Limit = 20) -> None:
    """List jobs, newest first.

    Example: model-manager jobs -n 5
    """

    def text(answer: dict[str, Any]) -> None:
        rows = [
            (j["id"], j["type"], subject(j), j["status"], output.ago(j.get("createdAt")), progress_text(j))
            for j in answer["jobs"]
        ]
        output.table(("ID", "WORK", "ON", "STATUS", "CREATED", "PROGRESS"), rows, "There are no jobs yet.")

    session.show(text, "jobs", limit=limit)


@app.command()
@answering_command
def show(session: Session, job: JobId) -> None:
    """Show one job: its progress, its result, or why it failed.

    Example: model-manager jobs show 3f0c9a41be7d2258
    """

    def text(j: dict[str, Any]) -> None:
        output.facts(
            (
                ("job", j["id"]),
                ("work", j["type"]),
                ("on", subject(j)),
                ("status", j["status"]),
                ("progress", progress_text(j)),
                ("attempts", j.get("attempts")),
                ("created", j.get("createdAt")),
                ("updated", j.get("updatedAt")),
                ("error", j.get("error")),
                ("hint", j.get("hint")),
                ("log", f"`model-manager jobs log {j['id']}`" if j["status"] == "failed" else None),
            )
        )

    session.show(text, "jobs", job)


@app.command()
@answering_command
def cancel(session: Session, job: JobId) -> None:
    """Cancel a job; what it has staged is cleaned up.

    Example: model-manager jobs cancel 3f0c9a41be7d2258
    """
    now = session.client.post("jobs", job, "cancel")
    session.tell(f"Job {job} is {'being cancelled' if now.get('cancelling') else now['status']}.", now)


@app.command()
@answering_command
def retry(session: Session, job: JobId) -> None:
    """Run a failed or cancelled job again.

    Example: model-manager jobs retry 3f0c9a41be7d2258
    """
    again = session.client.post("jobs", job, "retry")
    session.tell(f"Job {again['id']} is {again['status']}.", again)


@app.command()
@answering_command
def wait(session: Session, job: JobId) -> None:
    """Show progress until a job ends; exit code 1 if it fails.

    Example: model-manager jobs wait 3f0c9a41be7d2258
    """
    session.tell(f"Job {job} is completed.", wait_for_job(session.client, job))


@app.command()
@answering_command
def log(
    session: Session,
    job: JobId,
    lines: Annotated[int, typer.Option("--lines", "-n", min=1, max=10_000, help="How many, the last.")] = 200,
) -> None:
    """Show what a job's worker logged.

    Example: model-manager jobs log 3f0c9a41be7d2258
    """

    def text(answer: dict[str, Any]) -> None:
        for line in answer["lines"]:
            output.say(line)
        if not answer["lines"]:
            output.note(f"Job {job} has logged nothing.")

    session.show(text, "jobs", job, "logs", lines=lines)
