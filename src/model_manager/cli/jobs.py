"""`model-manager jobs`: long work with progress."""

from typing import Annotated

import typer

from model_manager import client as api
from model_manager.cli import completing, output, records
from model_manager.cli.command import Session, Watch, answering_command, listing_command
from model_manager.cli.group import noun
from model_manager.cli.options import Limit, Lines, Timeout, as_given
from model_manager.cli.records import created
from model_manager.cli.waiting import progress_text, subject, wait_for_job

app = noun("jobs", "Long work such as installs; alone, lists it.")

JobId = Annotated[
    str,
    typer.Argument(
        metavar="ID", help="Id of a job, as `jobs list` shows it.", autocompletion=completing.jobs
    ),
]


def _where_the_log_is(job: "api.types.JobView") -> str | None:
    return f"`model-manager jobs log {job.id}`" if job.status == "failed" else None


COLUMNS: records.Told = (
    ("ID", "id"), ("WORK", "type"), ("ON", subject), ("STATUS", "status"), ("CREATED", created),
    ("PROGRESS", progress_text),
)  # fmt: skip
FACTS: records.Told = (
    ("job", "id"), ("work", "type"), ("on", subject), ("status", "status"), ("progress", progress_text),
    ("attempts", "attempts"), ("by", "actor"), ("created", "created_at"), ("updated", "updated_at"), ("error", "error"),
    ("hint", "hint"), ("log", _where_the_log_is),
)  # fmt: skip


@app.command("list")
@listing_command
def list_jobs(
    session: Session,
    status: Annotated[
        str | None,
        typer.Option(
            "--status", help="Only those: pending, running, completed …", show_default=False,
            autocompletion=completing.words("pending", "running", "completed", "failed", "cancelled"),
        ),
    ] = None,
    limit: Limit = 20,
    watch: Watch = False,
) -> None:  # fmt: skip
    """List jobs, newest first.

    Example: model-manager jobs -n 5
    """
    call = api.calls.list_jobs(status=as_given(status), limit=limit)
    empty = f"There are no {status} jobs." if status else "There are no jobs yet."
    records.show_list(session, call, "jobs", COLUMNS, empty, watch=watch)


@app.command()
@listing_command
def show(session: Session, job: JobId, watch: Watch = False) -> None:
    """Show one job: its progress, its result, or why it failed.

    Example: model-manager jobs show 3f0c9a41be7d2258
    """
    records.show_one(session, api.calls.get_job(job), FACTS, watch=watch)


@app.command()
@listing_command
def cancel(session: Session, job: JobId) -> None:
    """Cancel a job; what it has staged is cleaned up.

    Example: model-manager jobs cancel 3f0c9a41be7d2258
    """

    def sentence(now: "api.types.JobView") -> str:
        # One with a worker takes a moment to end.
        return f"Job {job} is {'being cancelled' if now.cancelling else 'cancelled'}."

    session.do(api.calls.cancel_job(job), sentence, lambda _: [job])


@app.command()
@listing_command
def retry(
    session: Session,
    job: JobId,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Show progress until it has ended.")] = False,
    timeout: Timeout = None,
) -> None:
    """Run a failed or cancelled job again.

    Example: model-manager jobs retry 3f0c9a41be7d2258 --wait
    """
    call = api.calls.retry_job(job)
    if not wait:
        session.do(call, lambda again: f"Job {again.id} is {again.status}.", lambda again: [again.id])
        return
    done = wait_for_job(session.client, session.client.send(call).id, timeout=timeout)
    session.tell(f"Job {done.id} is {done.status}.", done, done.id)


@app.command()
@listing_command
def wait(session: Session, job: JobId, timeout: Timeout = None) -> None:
    """Show progress until a job ends; exit code 1 if it fails.

    Example: model-manager jobs wait 3f0c9a41be7d2258 --timeout 10m
    """
    session.tell(f"Job {job} is completed.", wait_for_job(session.client, job, timeout=timeout), job)


@app.command()
@answering_command
def log(session: Session, job: JobId, lines: Lines = 200) -> None:
    """Show what a job's worker logged.

    Example: model-manager jobs log 3f0c9a41be7d2258
    """

    def text(answer: "api.types.JobLog") -> None:
        for line in answer.lines:
            output.say(line)
        if not answer.lines:
            output.note(f"Job {job} has logged nothing.")

    session.ask(text, api.calls.job_log(job, lines=lines))
