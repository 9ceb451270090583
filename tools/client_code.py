"""Writes the generated part of `model_manager.client` from the API's description: `python -m tools.client_code`.

With `--check` it changes nothing and exits 1 when the files are not as they would be written.
"""

import keyword
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from model_manager.http.openapi import document
from model_manager.web import routes

TARGET = Path("src/model_manager/client")
NOTE = (
    "Written by `python -m tools.client_code` from the API's description: change the routes, not this file."
)
REF = "#/components/schemas/"
SIMPLE = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}

Schema = dict[str, Any]


@dataclass(frozen=True)
class Parameter:
    """A named argument of a call: a query parameter, or a field of the body."""

    wire: str
    type: str
    required: bool

    @property
    def name(self) -> str:
        return snake(self.wire)

    def __str__(self) -> str:
        if self.required:
            return f"{self.name}: {self.type}"
        kind = self.type if "None" in self.type.split(" | ") else f"{self.type} | None"
        return f"{self.name}: {kind} = None"


@dataclass(frozen=True)
class Operation:
    """One operation of the description. `returns`: the type of each status that is an answer."""

    name: str
    method: str
    path: str
    summary: str
    path_names: tuple[str, ...]
    query: tuple[Parameter, ...]
    body: tuple[Parameter, ...]
    returns: dict[int, str]

    @property
    def result(self) -> str:
        return " | ".join(dict.fromkeys(self.returns.values()))

    @property
    def parameters(self) -> str:
        named = sorted((*self.query, *self.body), key=lambda parameter: not parameter.required)
        if len({parameter.name for parameter in named}) != len(named):
            raise SystemExit(f"{self.method} {self.path}: a query parameter and a field share a name.")
        return ", ".join(
            [*(f"{name}: str" for name in self.path_names), *(["*"] if named else []), *map(str, named)]
        )

    @property
    def arguments(self) -> str:
        named = (f"{parameter.name}={parameter.name}" for parameter in (*self.query, *self.body))
        return ", ".join((*self.path_names, *named))


def main() -> int:
    encoded = msgspec.json.encode(document(routes(None), title="Model Manager", version=""))  # type: ignore[arg-type]
    described: Schema = msgspec.json.decode(encoded)
    found = list(operations(described))
    components = described["components"]["schemas"]
    names = used(found, described)
    classes = ", ".join(map(class_name, names))  # those that a module does not name are taken out again
    written = {
        "types.py": types_module(components, names),
        "calls.py": calls_module(found, classes),
        "operations.py": operations_module(found, classes),
    }
    changed = [name for name, text in written.items() if not _is_written(TARGET / name, formatted(text))]
    if "--check" in sys.argv:
        return 1 if changed else 0
    for name in changed:
        (TARGET / name).write_text(formatted(written[name]))
    return 0


def _is_written(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


def formatted(text: str) -> str:
    ruff = [str(Path(sys.executable).with_name("ruff"))]
    name = ["--stdin-filename", str(TARGET / "types.py"), "-"]
    for action in (["check", "--fix", "--quiet", "--exit-zero"], ["format", "--quiet"]):
        text = subprocess.run(
            [*ruff, *action, *name], input=text, capture_output=True, text=True, check=True
        ).stdout
    return text


# -- reading the description ------------------------------------------------------------------------------


def operations(described: Schema) -> Iterator[Operation]:
    """What a program calls. Not the gateway's (the vendors' own packages do that), nor what others call here."""
    components = described["components"]["schemas"]
    for path, methods in described["paths"].items():
        for method, spec in methods.items():
            returns = dict(_returns(spec))
            if path.startswith("/v1/") or spec["operationId"] in ("webhook", "openapi") or not returns:
                continue
            parameters = spec.get("parameters", [])
            yield Operation(
                name=spec["operationId"],
                method=method.upper(),
                path=path,
                summary=spec["summary"].replace("\\", "").rstrip(),
                path_names=tuple(p["name"] for p in parameters if p["in"] == "path"),
                query=tuple(
                    Parameter(p["name"], annotation(p["schema"]), False)
                    for p in parameters
                    if p["in"] == "query"
                ),
                body=tuple(_body(spec, components)),
                returns=returns,
            )


def _returns(spec: Schema) -> Iterator[tuple[int, str]]:
    for status, response in spec["responses"].items():
        content = response.get("content", {})
        if not status.isdigit():
            continue
        if "application/json" in content:
            yield int(status), annotation(content["application/json"]["schema"])
        elif any(kind.startswith("text/") and kind != "text/event-stream" for kind in content):
            yield int(status), "str"
        elif content and "text/event-stream" not in content:
            yield int(status), "bytes"


def _body(spec: Schema, components: Schema) -> Iterator[Parameter]:
    schema = spec.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    if "$ref" in schema:
        schema = components[schema["$ref"].removeprefix(REF)]
    for name, kind in schema.get("properties", {}).items():
        yield Parameter(name, annotation(kind), name in schema.get("required", ()))


def annotation(schema: Schema) -> str:
    """The Python type of a JSON schema."""
    if "$ref" in schema:
        return class_name(schema["$ref"].removeprefix(REF))
    if members := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(annotation(member) for member in members))
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    if schema.get("type") == "array":
        return f"list[{annotation(schema.get('items') or {})}]"
    if schema.get("type") == "object":
        inner = schema.get("additionalProperties")
        return f"dict[str, {annotation(inner) if isinstance(inner, dict) else 'Any'}]"
    return SIMPLE.get(str(schema.get("type")), "Any")


def used(found: list[Operation], described: Schema) -> list[str]:
    """The components that answers and arguments are made of, and what those are made of."""
    components = described["components"]["schemas"]
    by_class = {class_name(name): name for name in components}
    text = " ".join(f"{operation.result} {operation.parameters}" for operation in found)
    waiting = [by_class[word] for word in re.findall(r"\w+", text) if word in by_class]
    seen: dict[str, None] = {}
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen[name] = None
            waiting += references(components[name])
    return in_order(components, list(seen))


def in_order(components: Schema, names: list[str]) -> list[str]:
    """Each after those it is made of."""
    done: dict[str, None] = {}

    def add(name: str) -> None:
        for part in references(components[name]):
            if part != name and part not in done:
                add(part)
        done[name] = None

    for name in sorted(names):
        add(name)
    return list(done)


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for value in schema:
            yield from references(value)
    elif isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].removeprefix(REF)
        for value in schema.values():
            yield from references(value)


def class_name(component: str) -> str:
    """`Problem` of `model_manager.catalog.problem.Problem`; generic ones have brackets in their names."""
    return re.sub(r"\W|_", "", component.rpartition(".")[2])


def snake(name: str) -> str:
    found = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), name)
    return found + "_" if keyword.iskeyword(found) else found


def camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


# -- writing the modules ----------------------------------------------------------------------------------


def types_module(components: Schema, names: list[str]) -> str:
    classes = "\n\n".join(struct(class_name(name), components[name]) for name in names)
    return f'''"""The API's objects. Fields that a newer service adds are ignored.

{NOTE}
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct


{classes}
'''


def struct(name: str, schema: Schema) -> str:
    if "properties" not in schema:
        return f"{name} = {annotation(schema)}\n"
    doc = schema.get("description", "").strip().replace('"""', "'''").replace("\\", "")
    lines = [f'    """{doc}"""\n'] if doc else []
    required = schema.get("required", ())
    for wire, kind in schema["properties"].items():
        lines.append("    " + _field(snake(wire), wire, kind, wire in required))
    body = "\n".join(lines) or "    pass"
    return f'class {name}(Struct, rename="camel", kw_only=True):\n{body}\n'


def _field(name: str, wire: str, schema: Schema, required: bool) -> str:
    # A newer service may know more words than these: an answer with one must still be understood.
    kind = re.sub(r"Literal\[('[^']*'(, )?)+\]", "str", annotation(schema))
    default = schema.get("default")
    if not required and default is None and "None" not in kind.split(" | "):
        kind += " | None"
    if camel(name) != wire:
        value = f' = msgspec.field(name="{wire}"' + ("" if required else f", default={default!r}") + ")"
    else:
        value = "" if required else f" = {default!r}"
    return f"{name}: {kind}{value}"


def calls_module(found: list[Operation], types: str) -> str:
    functions = "\n\n".join(_call(operation) for operation in found)
    return f'''"""Each operation of the API as a `Call`: what is asked, and the types of its answers.

{NOTE}
"""

from __future__ import annotations

from typing import Any, Literal

from model_manager.client.call import Call, given
from model_manager.client.types import {types}


{functions}
'''


def _call(operation: Operation) -> str:
    parts_of_path = operation.path.strip("/").split("/")
    segments = "".join((part[1:-1] if part.startswith("{") else repr(part)) + ", " for part in parts_of_path)
    parts = [
        f'method="{operation.method}"',
        f"path=({segments.rstrip() if len(parts_of_path) == 1 else segments[:-2]})",
        f"returns={{{', '.join(f'{status}: {kind}' for status, kind in operation.returns.items())}}}",
    ]
    if operation.query:
        parts.append(f"query={{{', '.join(f'{p.wire!r}: {p.name}' for p in operation.query)}}}")
    if operation.body:
        parts.append(f"payload=given({{{', '.join(f'{p.wire!r}: {p.name}' for p in operation.body)}}})")
    return f'''def {operation.name}({operation.parameters}) -> Call[{operation.result}]:
    """{operation.summary}"""
    return Call({", ".join(parts)})
'''


def operations_module(found: list[Operation], types: str) -> str:
    sync = "\n".join(_method(operation, "", "") for operation in found)
    asynchronous = "\n".join(_method(operation, "async ", "await ") for operation in found)
    return f'''"""One method for each operation of the API, for the sync and the async client.

{NOTE}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeVar

from model_manager.client import calls

if TYPE_CHECKING:
    from model_manager.client.call import Call
    from model_manager.client.types import {types}

T = TypeVar("T")


class SyncOperations:
    """The methods of `Client`. Each raises ApiError for a refusal and NotReachable when nobody answers."""

    def send(self, call: Call[T]) -> T:
        """Ask, and return the decoded answer."""
        raise NotImplementedError

{sync}

class AsyncOperations:
    """The methods of `AsyncClient`. Each raises ApiError for a refusal and NotReachable when nobody answers."""

    async def send(self, call: Call[T]) -> T:
        """Ask, and return the decoded answer."""
        raise NotImplementedError

{asynchronous}
'''


def _method(operation: Operation, prefix: str, waiting: str) -> str:
    parameters = f", {operation.parameters}" if operation.parameters else ""
    return f'''    {prefix}def {operation.name}(self{parameters}) -> {operation.result}:
        """{operation.summary}"""
        return {waiting}self.send(calls.{operation.name}({operation.arguments}))
'''


if __name__ == "__main__":
    sys.exit(main())
