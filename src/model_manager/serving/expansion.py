"""The two substitutions a container's texts go through: KServe's `{{.Name}}` and the kubelet's `$(VARIABLE)`.

Pure. KServe executes a Go html/template over the JSON of the merged container; of that language runtimes use
field references only, and only those are understood here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from model_manager.errors import Unprocessable

_ACTION = re.compile(r"\{\{-?\s*(.*?)\s*-?\}\}", re.DOTALL)
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")
_FIELD = r"\.(?:(Name|Namespace)|(Labels|Annotations)\.([A-Za-z_]\w*))"


def fill_placeholders(value: Any, metadata: Mapping[str, Any]) -> Any:
    """`value` with each `{{.Name}}`, `{{.Namespace}}`, `{{.Labels.x}}` and `{{.Annotations.x}}` in its texts filled in.

    A label that is not there becomes the empty text, as in Go. Raises Unprocessable (InvalidPredictorSpec) for
    any other template code, naming it.
    """
    if isinstance(value, str):
        return _fill_text(value, metadata) if "{{" in value else value
    if isinstance(value, Mapping):
        return {key: fill_placeholders(item, metadata) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [fill_placeholders(item, metadata) for item in value]
    return value


def _fill_text(text: str, metadata: Mapping[str, Any]) -> str:
    def fill(match: re.Match[str]) -> str:
        field = re.fullmatch(_FIELD, match[1])
        if not field:
            raise _bad_template(match[0])
        if field[1]:
            return str(metadata.get(field[1].lower(), ""))
        return str((metadata.get(field[2].lower()) or {}).get(field[3], ""))

    filled = _ACTION.sub(fill, text)
    if "{{" in _ACTION.sub("", text):
        raise _bad_template(text)
    return filled


def _bad_template(text: str) -> Unprocessable:
    return Unprocessable(
        f"The container holds the template {text[:80]!r}, which cannot be filled in.",
        "Use {{.Name}}, {{.Namespace}}, {{.Labels.x}} or {{.Annotations.x}}; keep chat templates in a file.",
        reason="InvalidPredictorSpec",
    )


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`text` with `$(NAME)` replaced as the kubelet does: `$$` is one `$`, an unknown name stays as it is written.

    >>> expand("$(HOST):$$(PORT)$(NONE)", {"HOST": "a", "PORT": "1"})
    'a:$(PORT)$(NONE)'
    """

    def replace(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return variables.get(match[1], match[0])

    return _REFERENCE.sub(replace, text)


def references(text: str) -> Iterator[str]:
    """The names whose values `expand` would look for in a text."""
    return (match[1] for match in _REFERENCE.finditer(text) if match[0] != "$$")


def expand_environment(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Variables by name, each expanded with those before it; of two with one name the later wins."""
    variables: dict[str, str] = {}
    for name, value in pairs:
        variables[name] = expand(value, variables)
    return variables
