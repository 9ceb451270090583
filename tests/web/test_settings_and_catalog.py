"""The settings that the service runs with, and how its catalog is doing."""

import httpx2

from model_manager.settings import SETTINGS
from tests.house import House
from tests.web.asking import problem

Client = httpx2.AsyncClient


async def test_settings_come_with_their_origin_and_without_secrets(client: Client, house: House) -> None:
    rows = {row["name"]: row for row in (await client.get("/settings")).json()["settings"]}
    assert list(rows) == [row.name for row in SETTINGS]
    slots = {key: rows["slots"][key] for key in ("env", "value", "origin", "default", "group")}
    assert slots == {
        "env": "MODEL_MANAGER_SLOTS", "value": "second", "origin": "program", "default": "", "group": "Serving"
    }  # fmt: skip
    assert (rows["state_path"]["value"], rows["state_path"]["origin"]) == (
        str(house.settings.state_path),
        "flag",
    )
    assert rows["hub_token"]["value"] == "not set"


async def test_urls_in_settings_lose_what_is_secret_in_them(client: Client, house: House) -> None:
    row = next(row for row in house.parts.settings if row["name"] == "hub_endpoint")
    row["value"] = "https://hub.example/?token=canary&x=1"
    rows = {row["name"]: row for row in (await client.get("/settings")).json()["settings"]}
    assert rows["hub_endpoint"]["value"] == "https://hub.example/?token=[secret]&x=1"


async def test_the_catalog_says_how_it_is_doing(client: Client, house: House) -> None:
    catalog = (await client.get("/catalog")).json()
    assert (catalog["kind"], catalog["source"]) == ("folder", str(house.settings.catalog_root))
    assert (catalog["ready"], catalog["count"], catalog["error"], catalog["hint"]) == (True, 4, None, "")
    assert catalog["revision"] and catalog["loadedAt"] and catalog["ageSeconds"] >= 0
    assert [(one["file"], one["line"]) for one in catalog["problems"]] == [("models/bad.json", 2)]


async def test_a_catalog_that_is_gone_says_why_and_since_when(client: Client, house: House) -> None:
    house.settings.catalog_root.rename(house.settings.catalog_root.with_name("away"))
    problem(await client.post("/refresh"), 503, "unavailable")
    catalog = (await client.get("/catalog")).json()
    assert "is not there" in catalog["error"]
    assert catalog["hint"] == "It is read as soon as it appears; is the path right?"
    assert (catalog["staleSince"] is not None, catalog["count"]) == (True, 4)
