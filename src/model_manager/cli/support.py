"""`support-bundle`: what a bug report needs, as the service packs it."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from model_manager import client as api
from model_manager.cli import output
from model_manager.cli.command import Session, client_command
from model_manager.errors import Conflict, InvalidRequest

ZIP = b"PK"
"""What every zip begins with."""


def add_to(app: typer.Typer) -> None:
    app.command("support-bundle")(support_bundle)


@client_command
def support_bundle(
    session: Session,
    file: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE", show_default=False,
            help="Where to write it; must not exist. By default here, with the time in its name.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Write what a bug report needs into a zip, without secrets.

    Example: model-manager support-bundle -o bundle.zip
    """
    target = file or Path(time.strftime("model-manager-support-%Y%m%d-%H%M%S.zip"))
    _refuse_existing(target)
    data = session.client.support_bundle()
    if not data.startswith(ZIP):
        raise api.ApiError(
            f"What answers at {session.client.url} is not Model Manager.",
            "Name its address with --url.",
            http_status=200,
        )
    _write(target, data)
    session.tell(f"Wrote {target} ({output.human_size(len(data))}). Look into it before you send it.", None)


def _refuse_existing(file: Path) -> None:
    if file.exists():
        raise Conflict(f"{file} exists already.", "Nothing was overwritten; name another file with -o.")


def _write(file: Path, data: bytes) -> None:
    """For the user's eyes only: it is without secrets, but not without names."""
    try:
        descriptor = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        return _refuse_existing(file)
    except OSError as error:
        raise _unwritten(file, error) from error
    try:
        with os.fdopen(descriptor, "wb") as writing:
            writing.write(data)
    except (
        OSError
    ) as error:  # a full disk: half a zip helps nobody, and would stand in the way of the next try
        file.unlink(missing_ok=True)
        raise _unwritten(file, error) from error


def _unwritten(file: Path, error: OSError) -> InvalidRequest:
    return InvalidRequest(f"{file} cannot be written: {error.strerror}.", "Name another file with -o.")
