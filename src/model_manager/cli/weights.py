"""`model-manager weights`: model files on this machine's volume."""

from typing import Annotated

import typer

from model_manager import client as api
from model_manager.cli import completing, output, records
from model_manager.cli.command import Session, Watch, answering_command, listing_command
from model_manager.cli.group import noun
from model_manager.cli.options import Timeout
from model_manager.cli.output import human_size
from model_manager.cli.waiting import wait_for_job

app = noun("weights", "Installed model files; alone, lists them.")

Name = Annotated[
    str,
    typer.Argument(
        metavar="NAME", help="Name as `weights list` shows it.", autocompletion=completing.weights
    ),
]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Show progress until it has ended.")]


def _size(weights: "api.types.WeightInfo | api.types.WeightDetails") -> str:
    return human_size(weights.size_bytes)


def _source(weights: "api.types.WeightDetails") -> str:
    return str(weights.source.get("uri") or weights.source or "")


def _ours(usage: "api.types.Usage") -> str:
    return f"{human_size(usage.installed_bytes)} in {output.count(usage.model_count, 'folder')}"


COLUMNS: records.Told = (("NAME", "name"), ("SIZE", _size), ("FILES", "file_count"), ("USED BY", "used_by"))
FACTS: records.Told = (
    ("name", "name"), ("size", _size), ("source", _source), ("revision", "revision"),
    ("installed", "installed_at"), ("by", "installed_by"), ("used by", "used_by"),
)  # fmt: skip
USAGE: records.Told = (
    ("volume", lambda u: human_size(u.total_bytes)), ("used", lambda u: human_size(u.used_bytes)),
    ("free", lambda u: human_size(u.available_bytes)), ("weights", _ours),
)  # fmt: skip


@app.command("list")
@listing_command
def list_weights(session: Session, watch: Watch = False) -> None:
    """List installed weights, and folders that are not ours.

    Example: model-manager weights
    """

    def not_ours(answer: "api.types.WeightList") -> None:
        for folder in answer.not_ours:
            output.note(f"Not ours: {folder.path} ({human_size(folder.size_bytes)})")

    records.show_list(
        session, api.calls.list_weights(), "weights", COLUMNS, "No weights are installed.", key="name",
        watch=watch, beside=not_ours,
    )  # fmt: skip


@app.command()
@answering_command
def usage(session: Session) -> None:
    """Show how full the volume is, and how much of it is ours.

    Example: model-manager weights usage
    """
    records.show_one(session, api.calls.weights_usage(), USAGE)


@app.command()
@listing_command
def info(session: Session, name: Name) -> None:
    """Show where weights came from, and their files.

    Example: model-manager weights info demo
    """

    def files(weights: "api.types.WeightDetails") -> None:
        for file in weights.files:
            output.say(f"  {file.path}  {human_size(file.size)}  sha256:{file.sha256}")

    records.show_one(session, api.calls.weights_info(name), FACTS, key="name", beside=files)


@app.command()
@listing_command
def install(
    session: Session,
    model: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Id of a catalog entry; or owner/name, a repository of the Hub.",
            autocompletion=completing.models,
        ),
    ],
    revision: Annotated[
        str | None, typer.Option("--revision", help="Commit, branch or tag (owner/name only).", show_default=False)
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", help="Name of the folder (owner/name only).", show_default=False)
    ] = None,
    files: Annotated[
        list[str] | None, typer.Option("--file", help="Only such files (owner/name only); may be repeated.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Fetch and replace what is there.")] = False,
    wait: Wait = True,
    timeout: Timeout = None,
) -> None:  # fmt: skip
    """Install the weights of a catalog entry.

    Example: model-manager weights install demo
    """
    entry, hub = (None, model) if "/" in model else (model, None)
    job = session.client.install_weights(
        id=entry, hf_model_id=hub, revision=revision, target=target, files=files or None,
        overwrite=overwrite or None,
    ).job  # fmt: skip
    if not wait:
        follow = f"follow it with `model-manager jobs wait {job.id}`"
        session.tell(f"Job {job.id} is {job.status}; {follow}.", job, job.id)
        return
    done = wait_for_job(session.client, job.id, timeout=timeout)
    session.tell((done.result or {}).get("message") or f"{model} is installed.", done, done.id)


@app.command()
@listing_command
def delete(session: Session, name: Name) -> None:
    """Delete installed weights; refused while something uses them.

    Example: model-manager weights delete demo
    """
    session.do(api.calls.delete_weights(name), lambda answer: answer.message, lambda _: [name])
