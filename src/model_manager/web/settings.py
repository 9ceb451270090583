"""`/settings`: what the service was started with, and where each value came from."""

from typing import Literal

import msgspec
from msgspec import Struct

from model_manager.commands import Parts
from model_manager.http.routing import Route
from model_manager.web.redaction import redacted


class SettingView(Struct, rename="camel"):
    """One setting. Of a secret, `value` is `set` or `not set`, and no more of it is told.

    `origin` is where the value came from; `program` means that the command chose it itself, as `quickstart` does.
    """

    name: str
    env: str
    value: str
    origin: Literal["flag", "env", "file", "default", "program"]
    default: str
    help: str
    group: str


class SettingList(Struct, rename="camel"):
    settings: list[SettingView]


async def list_settings(parts: Parts) -> SettingList:
    """All settings, in the order of the documentation."""
    return SettingList([
        msgspec.convert({**row, "value": redacted(row["value"])}, SettingView) for row in parts.settings
    ])  # fmt: skip


ROUTES = (Route("GET", "/settings", list_settings),)
