"""The API's description as a page for people: one HTML file, nothing from outside, no script. Pure.

Made from the same document as `/openapi.json`, so it cannot say something else.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from html import escape
from typing import Any

Schema = dict[str, Any]

REF = "#/components/schemas/"
METHODS = ("get", "post", "put", "patch", "delete")

STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --mono: ui-monospace, monospace }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem }
h1 { font-size: 1.6rem } h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; font-size: 1.2rem }
code, pre, .path { font-family: var(--mono); font-size: .9em } code { background: var(--soft); padding: 0 .2em }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; padding: .3rem .7rem }
details:target { outline: 2px solid #38f } summary { cursor: pointer }
.method { display: inline-block; font: 600 .8em var(--mono); min-width: 4.2em }
.get { color: #2563eb } .post, .put, .patch { color: #15803d } .delete { color: #b91c1c } .soft { opacity: .7 }
@media (prefers-color-scheme: dark) {
.get { color: #7aa2ff } .post, .put, .patch { color: #4ade80 } .delete { color: #f87171 } }
table { border-collapse: collapse; margin: .5rem 0; width: 100% } th { font-weight: 600 }
td, th { border-top: 1px solid var(--line); padding: .25rem .6rem .25rem 0; text-align: left; vertical-align: top }
nav { display: flex; flex-wrap: wrap; gap: 0 .8rem } table { table-layout: fixed; overflow-wrap: anywhere }
"""

_DIGEST = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"style-src 'sha256-{_DIGEST}'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)


def page(document: Schema) -> bytes:
    """The whole page as UTF-8."""
    title = escape(f"{document['info']['title']} {document['info']['version']}")
    by_tag: dict[str, list[str]] = {}
    for method, path, spec in sorted(_operations(document), key=lambda one: _not_offered(one[2])):
        shown = _operation(method, path, spec, document["components"].get("responses", {}))
        by_tag.setdefault(spec["tags"][0], []).append(shown)
    schemas = document["components"]["schemas"]
    sections = [
        f'<h2 id="tag-{escape(tag)}">{escape(tag)}</h2>' + "".join(found) for tag, found in by_tag.items()
    ]
    links = "".join(f'<a href="#tag-{escape(tag)}">{escape(tag)}</a>' for tag in [*by_tag, "objects"])
    html = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}: API</title><style>{STYLE}</style></head><body>
<h1>{title}</h1>
<p>The HTTP API. Programs read the same as <a href="openapi.json">openapi.json</a> (OpenAPI 3.1). Errors are
<code>application/problem+json</code> with <code>detail</code>, <code>code</code> and <code>hint</code>.
Tokens go into <code>Authorization: Bearer …</code>.</p>
<nav>{links}</nav>
{"".join(sections)}
<h2 id="tag-objects">objects</h2>
{"".join(_object(name, schema) for name, schema in sorted(schemas.items()))}
</body></html>
"""
    return html.encode()


def _operations(document: Schema) -> Iterator[tuple[str, str, Schema]]:
    for path, methods in document["paths"].items():
        for method in (name for name in METHODS if name in methods):
            yield method, path, methods[method]


def _not_offered(spec: Schema) -> bool:
    """Whether an operation answers nothing but 501: `openapi.py` calls those deprecated."""
    return bool(spec.get("deprecated"))


def _operation(method: str, path: str, spec: Schema, shared: dict[str, Schema]) -> str:
    mark = "not offered: 501" if _not_offered(spec) else "" if spec.get("security") else "no token"
    access = mark and f' <span class="soft">{mark}</span>'
    parts = [_paragraphs(spec.get("description", ""))]
    if parameters := spec.get("parameters"):
        parts.append(_table(("parameter", "type", "in"), _parameters(parameters)))
    if body := spec.get("requestBody"):
        needed = "" if body.get("required") else " (may be left out)"
        parts.append(f"<p>Body{needed}: {_contents(body['content'])}</p>")
    parts.append(_table(("status", "answer"), _responses(spec["responses"], shared)))
    return (
        f'<details id="{escape(spec["operationId"])}"><summary><span class="method {method}">{method.upper()}</span>'
        f'<span class="path">{escape(path)}</span> {_inline(spec.get("summary", ""))}{access}</summary>'
        f"{''.join(parts)}</details>"
    )


def _parameters(parameters: list[Schema]) -> Iterator[tuple[str, ...]]:
    for one in parameters:
        yield f"<code>{escape(one['name'])}</code>", _type(one["schema"]), escape(one["in"])


def _responses(responses: dict[str, Schema], shared: dict[str, Schema]) -> Iterator[tuple[str, ...]]:
    """Each status but the default one, which is the same problem everywhere; `shared` are those told by reference."""
    for status, response in responses.items():
        if status == "default":
            continue
        response = shared.get(response.get("$ref", "").rpartition("/")[2], response)
        yield (
            escape(status),
            _contents(response.get("content", {})) or _inline(response.get("description", "")),
        )


def _contents(content: dict[str, Schema]) -> str:
    return ", ".join(
        _type(media["schema"]) if kind == "application/json" else f"<code>{escape(kind)}</code>"
        for kind, media in content.items()
    )


def _object(name: str, schema: Schema) -> str:
    required = schema.get("required", ())
    rows = (
        (f"<code>{escape(field)}</code>", _type(kind) + ("" if field in required else _default(kind)))
        for field, kind in schema.get("properties", {}).items()
    )
    fields = _table(("field", "type"), rows) if schema.get("properties") else f"<p>{_type(schema)}</p>"
    doc = _paragraphs(schema.get("description", ""))
    return f'<details id="object-{escape(name)}"><summary><code>{escape(name)}</code></summary>{doc}{fields}</details>'


def _default(schema: Schema) -> str:
    default = schema.get("default")
    shown = "" if default in (None, [], {}, "", ()) else f", else <code>{escape(str(default))}</code>"
    return f' <span class="soft">optional{shown}</span>'


def _type(schema: Schema) -> str:
    """A schema in a few words, with links to the objects it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].removeprefix(REF))
        return f'<a href="#object-{name}">{name}</a>'
    if members := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(map(_type, members))
    if "enum" in schema:
        return " | ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    kind = str(schema.get("type", "anything"))
    if kind == "array":
        return f"list of {_type(schema.get('items') or {})}"
    if kind == "object" and isinstance(inner := schema.get("additionalProperties"), dict):
        return f"object of {_type(inner)}"
    limits = [f"{word} {schema[name]}" for name, word in _LIMITS.items() if name in schema]
    return escape(" ".join([kind, *limits]))


_LIMITS = {
    "minimum": "≥",
    "maximum": "≤",
    "minLength": "length ≥",
    "maxLength": "length ≤",
    "pattern": "like",
}


def _table(heads: tuple[str, ...], rows: Iterator[tuple[str, ...]]) -> str:
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def _paragraphs(text: str) -> str:
    return "".join(f"<p>{_inline(part)}</p>" for part in text.split("\n\n") if part)


def _inline(text: str) -> str:
    """Escaped, with what stands in backquotes as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))
