"""Contexts: several services by name, kept in `contexts.json` of the user's configuration folder.

    {"current": "prod", "contexts": {"prod": {"url": "https://models.example", "tokenFile": "/home/me/…/tokens/prod"}}}

A token never stands in that file: it lies in a file of its own, ours (mode 0600) or one that the user named.
`local` is the service of this machine, and always there.
"""

import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_manager.client.address import parse_address
from model_manager.errors import Conflict, InvalidRequest, NotFound, SettingsError, Unauthorized

LOCAL = "local"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")


@dataclass(frozen=True)
class Context:
    """One service: where it is, and the file that holds the token for it, if it wants one."""

    name: str
    url: str
    token_file: Path | None

    def token(self) -> str | None:
        """Raises Unauthorized when its file does not hold one."""
        if self.token_file is None:
            return None
        try:
            token = self.token_file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            cause = error.strerror if isinstance(error, OSError) else "it is not text"
            raise Unauthorized(
                f"The token of context {self.name} cannot be read from {self.token_file}: {cause}.",
                "Write the token into that file, or remove the context and add it again.",
            ) from error
        if not token:
            raise Unauthorized(
                f"The token file {self.token_file} of context {self.name} is empty.",
                "Write the token into it.",
            )
        return token


class Contexts:
    """The contexts of one configuration folder. Reads its file once; every change writes it anew, whole."""

    def __init__(self, folder: Path) -> None:
        """Raises SettingsError when the file is there and cannot be read."""
        self._folder = folder
        self._file = folder / "contexts.json"
        said = self._read()
        self.current: str = said["current"] or LOCAL
        self._known: dict[str, Context] = {
            name: Context(name, one["url"], Path(one["tokenFile"]) if one.get("tokenFile") else None)
            for name, one in said["contexts"].items()
        }

    def __iter__(self) -> Iterator[Context]:
        """All but `local`."""
        return iter(self._known.values())

    def get(self, name: str) -> Context:
        try:
            return self._known[name]
        except KeyError:
            raise NotFound(
                f"There is no context {name!r}.",
                "`model-manager context list` shows those there are; `context add` makes one.",
            ) from None

    def add(
        self, name: str, url: str, *, token: str | None = None, token_file: Path | None = None
    ) -> Context:
        """Remember a service. A `token` is stored in a file of ours, a `token_file` only named.

        Raises Conflict for a name that is taken: were its address to change, its token would travel elsewhere.
        """
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                f"{name!r} cannot be the name of a context.",
                "Use a-z, 0-9, and . _ - within, at most 40 characters.",
            )
        if name == LOCAL or name in self._known:
            raise Conflict(
                f"There is a context {name!r} already.",
                "It is the service of this machine; choose another name."
                if name == LOCAL
                else f"Remove it first: `model-manager context remove {name}`.",
            )
        parse_address(url)
        if token is not None:
            token_file = self._own_token_file(name)
            self._write(token_file, token + "\n")
        context = Context(name, url.rstrip("/"), token_file)
        self._known[name] = context
        self._save()
        return context

    def use(self, name: str) -> None:
        """Raises NotFound."""
        if name != LOCAL:
            self.get(name)
        self.current = name
        self._save()

    def remove(self, name: str) -> None:
        """Forget a service, and its token when that is stored with us. Raises NotFound."""
        self.get(name)
        del self._known[name]
        if self.current == name:
            self.current = LOCAL
        self._save()
        self._own_token_file(name).unlink(missing_ok=True)

    def _own_token_file(self, name: str) -> Path:
        return self._folder / "tokens" / name

    def _read(self) -> dict[str, Any]:
        try:
            said = json.loads(self._file.read_text())
            if all(isinstance(one["url"], str) for one in said["contexts"].values()) and "current" in said:
                found: dict[str, Any] = said
                return found
        except FileNotFoundError:
            return {"current": LOCAL, "contexts": {}}
        except OSError as error:
            raise SettingsError(
                f"The contexts in {self._file} cannot be read: {error.strerror}.", "Mend its permissions."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        raise SettingsError(
            f"{self._file} does not hold contexts as `model-manager context` writes them.",
            "Mend or delete it, then add them again.",
        )

    def _save(self) -> None:
        contexts = {
            one.name: {"url": one.url, "tokenFile": str(one.token_file) if one.token_file else None}
            for one in self
        }
        self._write(self._file, json.dumps({"current": self.current, "contexts": contexts}, indent=2) + "\n")

    def _write(self, file: Path, text: str) -> None:
        """Whole or not at all, and for the user's eyes only from the first byte on."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        draft = file.with_name(f".{file.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as writing:
            writing.write(text)
        draft.replace(file)
