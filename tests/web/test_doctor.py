"""What the doctor says of a service on one machine."""

import os
from pathlib import Path
from typing import Any

import httpx2
import pytest

from model_manager import commands
from model_manager.commands.doctor import writable
from model_manager.serving.findings import Finding
from model_manager.weights.store import WeightStore
from tests.house import House
from tests.waiting import until

Client = httpx2.AsyncClient


async def examined(client: Client) -> tuple[str, dict[str, Any]]:
    answer = (await client.get("/system/doctor")).json()
    return answer["status"], {finding["name"]: finding for finding in answer["findings"]}


async def test_a_service_that_has_what_it_needs_but_for_one_broken_file(client: Client, house: House) -> None:
    await until(lambda: house.parts.catalog.status().ready)
    status, found = await examined(client)
    assert {name: one["status"] for name, one in found.items()} == {
        "state-folder": "ok", "weights-folder": "ok", "disk": "ok", "catalog": "warn", "runtime": "ok"
    }  # fmt: skip
    assert (status, found["catalog"]["command"]) == ("warn", "model-manager catalog problems")
    assert str(house.settings.weights_path) in found["weights-folder"]["sentence"]
    assert not list(house.settings.weights_path.glob("tmp*"))


async def test_problems_of_the_service_the_platform_and_models_are_among_it(
    client: Client, house: House
) -> None:
    await until(lambda: house.parts.catalog.status().ready)
    house.parts.problems = lambda: ["The loop of slot x hangs."]
    house.parts.platform.problems = lambda: ["The cluster is away."]  # type: ignore[method-assign]
    house.parts.weights.reserve = 1 << 60
    house.parts.render = _refuse
    status, found = await examined(client)
    assert status == "fail"
    assert (found["service"]["status"], found["platform"]["status"], found["disk"]["status"]) == (
        "fail",
        "warn",
        "warn",
    )
    assert found["model:demo"]["sentence"] == "There is no slot 'x'."


def _refuse(*_: Any) -> Any:
    raise commands.Parts.slot_named(_NoSlots(), "x")  # type: ignore[arg-type]


class _NoSlots:
    default_slot, loops, slots = "", {}, ()  # type: ignore[var-annotated]


async def test_a_catalog_that_cannot_be_read(client: Client, house: House) -> None:
    await until(lambda: house.parts.catalog.status().ready)
    house.settings.catalog_root.rename(house.settings.catalog_root.with_name("away"))
    await client.post("/refresh")
    _, found = await examined(client)
    assert found["catalog"]["status"] == "warn"
    assert found["catalog"]["sentence"].endswith("4 models of its last revision are offered.")
    assert found["catalog"]["hint"]


def test_a_folder_that_this_user_may_not_write_is_mended_by_chown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert writable("weights-folder", tmp_path).status == "ok"
    assert list(tmp_path.iterdir()) == []

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refuse)
    finding = writable("weights-folder", tmp_path / "with space")
    assert finding.status == "fail"
    assert finding.command == f"chown -R {os.geteuid()}:{os.getegid()} '{tmp_path}/with space'"


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    finding = writable("weights-folder", WeightStore(tmp_path / "gone").root)
    assert (finding.status, "No such file" in finding.sentence) == ("fail", True)


async def test_a_program_that_this_machine_lacks_names_the_models(house: House) -> None:
    well = house.parts.runtimes["well"]
    well["spec"]["containers"][0]["command"] = ["no-such-server"]
    await until(lambda: house.parts.catalog.status().ready)
    found = [
        one for one in await commands.doctor(house.parts) if one.status == "warn" and one.name == "runtime"
    ]
    assert found == [
        Finding(
            "runtime",
            "warn",
            "The serving runtime 'well' needs 'no-such-server', which is not on this machine. Needed by demo, pirate.",
            "Install it so that 'no-such-server' is on PATH, or give the entry another `runtime`.",
        )
    ]  # fmt: skip
