"""`docs/api.md`, held to the routes."""

import re
from pathlib import Path

import msgspec
import pytest

from model_manager.http.routing import Route, Tagged, union_members
from model_manager.web.paging import Paged
from model_manager.web.routes import NOUNS

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text()
ROUTES = {(route.method, route.path): route for noun in NOUNS for route in noun.ROUTES}
OF_THE_APPLICATION = {"/docs", "/openapi.json", "/v1/"}


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def test_paths_that_are_named_exist() -> None:
    known = {path for _, path in ROUTES} | OF_THE_APPLICATION
    named = {path for path in re.findall(r"`(?:[A-Z]+ )?(/[a-z0-9/{}._-]*)", PAGE) if path != "/"}
    assert {re.sub(r"\{id\}", "{}", path) for path in named} <= {
        re.sub(r"\{(?!slot)\w+\}", "{}", path) for path in known
    }


@pytest.mark.parametrize(
    ("path", "filters"), re.findall(r"^\| `GET (/\w+)` \| (.*) \|$", section("Lists"), re.MULTILINE)
)
def test_the_filters_of_each_list(path: str, filters: str) -> None:
    query = ROUTES["GET", path].signature.query
    fields = {field.encode_name for field in msgspec.structs.fields(query)}
    assert set(re.findall(r"`(\w+)`", filters)) == fields - {"limit", "cursor"}


def test_every_paged_list_is_named() -> None:
    paged = {
        path
        for (_, path), route in ROUTES.items()
        if issubclass(route.signature.query, Paged) and "{" not in path
    }
    assert paged | {"/models"} == set(re.findall(r"^\| `GET (/\w+)` \|", section("Lists"), re.MULTILINE))


def test_everything_with_a_tag_is_named() -> None:
    named = set(re.findall(r"`(/[\w/.{}]+)`", section("Asking again for what one has")))
    assert {path for (_, path), route in ROUTES.items() if _is_tagged(route)} == {
        path.replace("{id}", "{model_id}") for path in named - OF_THE_APPLICATION
    }


def _is_tagged(route: Route) -> bool:
    return any(getattr(one, "__origin__", None) is Tagged for one in union_members(route.signature.returns))
