"""Problems are data: where in which file, what is wrong, what to do. Pure."""

from functools import cached_property
from typing import Literal

from msgspec import Struct

from model_manager.catalog.scan import Path, Places, dotted, line_column, places

Severity = Literal["error", "warning"]


class Problem(Struct, frozen=True, gc=False):
    """One thing to put right in the catalog.

    `file` is relative to the catalog's root; `line` and `column` (in characters) count from 1;
    `field` is a dotted path such as `vllm.maxModelLen`, "" for the file as a whole. An `error` keeps
    something from being served as written, a `warning` does not.
    """

    file: str
    line: int
    column: int
    field: str
    message: str
    hint: str = ""
    severity: Severity = "error"

    def __str__(self) -> str:
        """`models/a.json:3:7: vllm.maxModelLen: must be a whole number, not a string (…)`, on one line."""
        field = f"{self.field}: " if self.field else ""
        warning = "warning: " if self.severity == "warning" else ""
        hint = f" ({self.hint})" if self.hint else ""
        text = f"{self.file}:{self.line}:{self.column}: {warning}{field}{self.message}{hint}"
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


MOST = 100
"""Problems told of one file: a hostile one may have a hundred thousand."""


class Report:
    """Gathers the problems of one file and finds their places in its text (only when there are any).

    `failed`: there was an error; `full`: no more is told.
    """

    def __init__(self, file: str, text: str = "") -> None:
        self.file = file
        self.text = text
        self.problems: list[Problem] = []
        self.failed = False

    @property
    def full(self) -> bool:
        return len(self.problems) >= MOST

    @cached_property
    def places(self) -> Places:
        return places(self.text)

    def at(
        self, offset: int, message: str, hint: str = "", path: Path = (), severity: Severity = "error"
    ) -> None:
        """A problem at a character offset of the text."""
        first_error = severity == "error" and not self.failed
        self.failed = self.failed or first_error
        if self.full and not first_error:
            return
        line, column = line_column(self.text, offset)
        self.problems.append(Problem(self.file, line, column, dotted(path), message, hint, severity))

    def error(self, path: Path, message: str, hint: str = "") -> None:
        """An error at the value that stands at `path`, or at the nearest thing around it that is there."""
        self.at(self._offset(path), message, hint, path)

    def warn(self, path: Path, message: str, hint: str = "", *, key: bool = False) -> None:
        """A warning at a value, or at its key."""
        offset = self.places.key(path) if key else self._offset(path)
        self.at(offset, message, hint, path, "warning")

    def _offset(self, path: Path) -> int:
        if not path:  # the file's object: nothing to search for
            return len(self.text) - len(self.text.lstrip())
        return self.places.value(path)
