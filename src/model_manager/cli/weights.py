"""`model-manager weights`: model files on this machine's volume."""

from typing import Annotated, Any

import typer

from model_manager.cli import output
from model_manager.cli.command import Session, answering_command
from model_manager.cli.group import noun
from model_manager.cli.waiting import wait_for_job

app = noun("weights", "Installed model files; alone, lists them.")

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name as `weights list` shows it.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Show progress until it has ended.")]


@app.command("list")
@answering_command
def list_weights(session: Session) -> None:
    """List installed weights, and folders that are not ours.

    Example: model-manager weights
    """

    def text(answer: dict[str, Any]) -> None:
        rows = [
            (w["name"], output.human_size(w.get("sizeBytes")), w.get("fileCount"), _used_by(w))
            for w in answer["weights"]
        ]
        output.table(("NAME", "SIZE", "FILES", "USED BY"), rows, "No weights are installed.")
        for folder in answer["notOurs"]:
            output.note(f"Not ours: {folder['path']} ({output.human_size(folder['sizeBytes'])})")

    session.show(text, "weights")


@app.command()
@answering_command
def usage(session: Session) -> None:
    """Show how full the volume is, and how much of it is ours.

    Example: model-manager weights usage
    """

    def text(u: dict[str, Any]) -> None:
        output.facts(
            (
                ("volume", output.human_size(u["totalBytes"])),
                ("used", output.human_size(u["usedBytes"])),
                ("free", output.human_size(u["availableBytes"])),
                (
                    "weights",
                    f"{output.human_size(u['installedBytes'])} in {output.count(u['modelCount'], 'folder')}",
                ),
            )
        )

    session.show(text, "weights", "usage")


@app.command()
@answering_command
def info(session: Session, name: Name) -> None:
    """Show where weights came from, and their files.

    Example: model-manager weights info demo
    """

    def text(w: dict[str, Any]) -> None:
        output.facts(
            (
                ("name", w["name"]),
                ("size", output.human_size(w.get("sizeBytes"))),
                ("source", _source(w.get("source"))),
                ("revision", w.get("revision")),
                ("installed", w.get("installedAt")),
                ("by", w.get("installedBy")),
                ("used by", _used_by(w)),
            )
        )
        for file in w.get("files", []):
            output.say(
                f"  {file['path']}  {output.human_size(file['size'])}  sha256:{file.get('sha256', '-')}"
            )

    session.show(text, "weights", name, "info")


@app.command()
@answering_command
def install(
    session: Session,
    model: Annotated[str, typer.Argument(metavar="ID", help="Id of a catalog entry.")],
    wait: Wait = True,
) -> None:
    """Install the weights of a catalog entry.

    Example: model-manager weights install demo
    """
    job = session.client.post("weights", "install", payload={"id": model})["job"]
    if not wait:
        follow = f"follow it with `model-manager jobs wait {job['id']}`"
        session.tell(f"Job {job['id']} is {job['status']}; {follow}.", job)
        return
    done = wait_for_job(session.client, job["id"])
    session.tell((done.get("result") or {}).get("message") or f"{model} is installed.", done)


@app.command()
@answering_command
def delete(session: Session, name: Name) -> None:
    """Delete installed weights; refused while something uses them.

    Example: model-manager weights delete demo
    """
    answer = session.client.delete("weights", name)
    session.tell(answer.get("message") or f"Deleted weights {name}.", answer)


def _used_by(weights: dict[str, Any]) -> str:
    return ", ".join(str(use) for use in weights.get("usedBy") or ())


def _source(source: Any) -> str:
    return str(source.get("uri") or source) if isinstance(source, dict) else str(source or "")
