"""`model-manager jobs`: long work with progress."""

from typing import Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, client_command, reading_command
from model_manager.cli.group import noun
from model_manager.cli.waiting import progress_text, wait_for_job

app = noun("jobs", "Long work such as installs; alone, lists it.")

JobId = Annotated[str, typer.Argument(metavar="ID", help="Id of a job, as `jobs list` shows it.")]
Limit = Annotated[int, typer.Option("--limit", "-n", min=1, max=200, help="How many, newest first.")]


@app.command("list")
@reading_command
def list_jobs(session: Session, limit: Limit = 20) -> None:
    """List jobs, newest first.

    Example: model-manager jobs -n 5
    """

    def text(answer: dict[str, Any]) -> None:
        rows = [
            (j["id"], j["type"], _subject(j), j["status"], output.ago(j.get("createdAt")), progress_text(j))
            for j in answer["jobs"]
        ]
        output.table(("ID", "WORK", "ON", "STATUS", "CREATED", "PROGRESS"), rows, "There are no jobs yet.")

    session.show(text, "jobs", limit=limit)


@app.command()
@reading_command
def show(session: Session, job: JobId) -> None:
    """Show one job: its progress, its result, or why it failed.

    Example: model-manager jobs show 3f0c9a
    """

    def text(j: dict[str, Any]) -> None:
        error = j.get("error") or {}
        output.facts(
            (
                ("job", j["id"]),
                ("work", j["type"]),
                ("on", _subject(j)),
                ("status", j["status"]),
                ("progress", progress_text(j)),
                ("attempts", j.get("attempts")),
                ("created", j.get("createdAt")),
                ("updated", j.get("updatedAt")),
                ("error", error if isinstance(error, str) else error.get("sentence")),
                ("hint", j.get("hint") if isinstance(error, str) else error.get("hint")),
            )
        )

    session.show(text, "jobs", job)


@app.command()
@client_command
def cancel(session: Session, job: JobId) -> None:
    """Cancel a job; what it has staged is cleaned up.

    Example: model-manager jobs cancel 3f0c9a
    """
    output.say(f"Job {job} is {session.client.post('jobs', job, 'cancel')['status']}.")


@app.command()
@client_command
def retry(session: Session, job: JobId) -> None:
    """Run a failed or cancelled job again.

    Example: model-manager jobs retry 3f0c9a
    """
    again = session.client.post("jobs", job, "retry")
    output.say(f"Job {again['id']} is {again['status']}.")


@app.command()
@client_command
def wait(session: Session, job: JobId) -> None:
    """Show progress until a job ends; exit code 1 if it fails.

    Example: model-manager jobs wait 3f0c9a
    """
    wait_for_job(session.client, job)
    output.say(f"Job {job} is completed.")


def _subject(job: dict[str, Any]) -> Any:
    payload = job.get("payload") or {}
    return payload.get("target") or payload.get("id") or payload.get("hfModelId") or job.get("key")
