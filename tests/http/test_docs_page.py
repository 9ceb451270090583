"""`/docs`: the API's description for people."""

import re
from html.parser import HTMLParser
from typing import Any, NoReturn

import pytest
from msgspec import Struct

from model_manager.http.docs_page import CONTENT_SECURITY_POLICY, STYLE, page
from model_manager.http.openapi import document
from model_manager.http.routing import Route
from model_manager.web import routes


class Thing(Struct):
    """A <b>thing</b> with `code` in it."""

    name: str
    size: int = 3


class Ask(Struct):
    name: str


async def make(_: None, body: Ask) -> Thing:
    """Make a <script>alert(1)</script>.

    With `care`.
    """
    return Thing(body.name)


async def not_yet(_: None) -> NoReturn:
    """Do what is not there yet."""
    raise NotImplementedError


def test_what_is_not_offered_comes_last_and_says_so() -> None:
    shown = page(
        document([Route("GET", "/a", not_yet, status=501), Route("POST", "/b", make)], title="T", version="1")
    ).decode()
    assert shown.index('id="make"') < shown.index('id="not_yet"')
    assert shown.count("not offered") == 1


class Reader(HTMLParser):
    """Checks that what is opened is closed, and gathers ids and what is referred to."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag != "meta":
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(value or "")
            if name in ("href", "src"):
                self.links.append(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def whole() -> tuple[dict[str, Any], str]:
    described = document(routes(None), title="Model Manager", version="1")  # type: ignore[arg-type]
    return described, page(described).decode()


def test_every_operation_and_every_object_is_there_and_every_link_leads_somewhere(
    whole: tuple[dict[str, Any], str],
) -> None:
    described, html = whole
    reader = Reader(html)
    assert reader.open == []
    operations = [spec["operationId"] for methods in described["paths"].values() for spec in methods.values()]
    assert len(operations) > 40
    assert set(operations) <= set(reader.ids)
    assert {f"object-{name}" for name in described["components"]["schemas"]} <= set(reader.ids)
    assert len(reader.ids) == len(set(reader.ids))
    assert {link.removeprefix("#") for link in reader.links} - {"openapi.json"} <= set(reader.ids)


def test_nothing_comes_from_outside_and_nothing_runs(whole: tuple[dict[str, Any], str]) -> None:
    _, html = whole
    assert not Reader(html).tags & {"script", "img", "iframe", "link", "form"}
    assert not re.search(r"url\(|@import|https?:", STYLE)
    assert CONTENT_SECURITY_POLICY.startswith("default-src 'none'; style-src 'sha256-")


def test_what_a_description_says_is_text_and_its_code_is_code() -> None:
    route = Route("POST", "/things", make, status=201)
    html = page(document([route], title="<T>", version="1")).decode()
    assert "<script>" not in html
    assert "<b>" not in html
    assert "With <code>care</code>." in html
    assert "&lt;T&gt; 1" in html
    assert ">201<" in html
    assert "else <code>3</code>" in html
