"""`model-manager weights`: model files on this machine's volume."""

from typing import Annotated, Any

import typer

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


def _size(weights: dict[str, Any]) -> str:
    return human_size(weights.get("sizeBytes"))


def _source(weights: dict[str, Any]) -> str:
    source = weights.get("source")
    return str(source.get("uri") or source) if isinstance(source, dict) else str(source or "")


def _ours(usage: dict[str, Any]) -> str:
    return f"{human_size(usage['installedBytes'])} in {output.count(usage['modelCount'], 'folder')}"


COLUMNS: records.Told = (("NAME", "name"), ("SIZE", _size), ("FILES", "fileCount"), ("USED BY", "usedBy"))
FACTS: records.Told = (
    ("name", "name"), ("size", _size), ("source", _source), ("revision", "revision"),
    ("installed", "installedAt"), ("by", "installedBy"), ("used by", "usedBy"),
)  # fmt: skip
USAGE: records.Told = (
    ("volume", lambda u: human_size(u["totalBytes"])), ("used", lambda u: human_size(u["usedBytes"])),
    ("free", lambda u: human_size(u["availableBytes"])), ("weights", _ours),
)  # fmt: skip


@app.command("list")
@listing_command
def list_weights(session: Session, watch: Watch = False) -> None:
    """List installed weights, and folders that are not ours.

    Example: model-manager weights
    """

    def not_ours(answer: dict[str, Any]) -> None:
        for folder in answer["notOurs"]:
            output.note(f"Not ours: {folder['path']} ({human_size(folder['sizeBytes'])})")

    records.show_list(
        session, "weights", of="weights", told=COLUMNS, key="name", empty="No weights are installed.",
        watch=watch, beside=not_ours,
    )  # fmt: skip


@app.command()
@answering_command
def usage(session: Session) -> None:
    """Show how full the volume is, and how much of it is ours.

    Example: model-manager weights usage
    """
    records.show_one(session, "weights", "usage", told=USAGE)


@app.command()
@listing_command
def info(session: Session, name: Name) -> None:
    """Show where weights came from, and their files.

    Example: model-manager weights info demo
    """

    def files(weights: dict[str, Any]) -> None:
        for file in weights.get("files", []):
            output.say(f"  {file['path']}  {human_size(file['size'])}  sha256:{file.get('sha256', '-')}")

    records.show_one(session, "weights", name, "info", told=FACTS, key="name", beside=files)


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
    wish: dict[str, Any] = {"hfModelId" if "/" in model else "id": model}
    more = {"revision": revision, "target": target, "files": files, "overwrite": overwrite}
    wish |= {name: value for name, value in more.items() if value}
    job = session.client.post("weights", "install", payload=wish)["job"]
    if not wait:
        follow = f"follow it with `model-manager jobs wait {job['id']}`"
        session.tell(f"Job {job['id']} is {job['status']}; {follow}.", job, job["id"])
        return
    done = wait_for_job(session.client, job["id"], timeout=timeout)
    told = (done.get("result") or {}).get("message") or f"{model} is installed."
    session.tell(told, done, done["id"])


@app.command()
@listing_command
def delete(session: Session, name: Name) -> None:
    """Delete installed weights; refused while something uses them.

    Example: model-manager weights delete demo
    """
    answer = session.client.delete("weights", name)
    session.tell(answer.get("message") or f"Deleted weights {name}.", answer, name)
