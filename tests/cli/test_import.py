"""`state import`: what the original left, in this service's own lists, whoever has the state folder."""

import asyncio
import fcntl
import functools
import json
import os
from pathlib import Path
from typing import Any

import pytest

from model_manager.cli import importing, main
from model_manager.commands import original
from model_manager.commands.original import read_original
from model_manager.jobs.job import Job
from tests.cli.conftest import Run
from tests.house import House, house_settings, open_house, write_catalog
from tests.waiting import until

RECORDED = Path(__file__).parent.parent / "state/bolt/recorded"
COMPLETED = "9e3779b1-0000-4000-8000-000000000001"
LEFT_RUNNING = "cc623a9b-0000-4000-8000-00000000000b"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    copy = tmp_path / "original.db"
    copy.write_bytes((RECORDED / "original.db").read_bytes())
    copy.chmod(0o444)
    return copy


@pytest.fixture
def state(tmp_path: Path, state: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state folder of the house, also for the commands beside it."""
    write_catalog(tmp_path / "catalog", {"a": "nothing"})
    monkeypatch.setenv("STATE_PATH", str(house_settings(tmp_path).state_path))
    return house_settings(tmp_path).state_path


async def lists(house: House) -> tuple[list[Any], list[Any]]:
    (_, jobs), (_, history) = await house.call("GET", "/jobs"), await house.call("GET", "/history")
    return jobs["jobs"], history["events"]


async def test_jobs_and_history_are_there_when_the_service_starts(
    tmp_path: Path, state: Path, file: Path
) -> None:
    content = file.read_bytes()
    assert await asyncio.to_thread(main, ["state", "import", str(file)]) == 0
    assert file.read_bytes() == content
    async with open_house(house_settings(tmp_path)) as house:
        jobs, events = await lists(house)
        assert len(jobs) == 12
        assert [job["createdAt"] for job in jobs] == sorted((job["createdAt"] for job in jobs), reverse=True)
        assert next(job for job in jobs if job["id"] == COMPLETED).items() >= {
            "type": "weight_install", "status": "completed", "actor": "original", "key": "acme-model-1",
            "createdAt": "2025-11-01T09:00:01.123Z", "updatedAt": "2025-11-01T09:00:01.900Z",
            "result": {"name": "acme-model-1", "path": "/mnt/models/acme-model-1", "sizeBytes": 1000000007},
        }.items()  # fmt: skip
        assert next(job for job in jobs if job["status"] == "failed")["error"]
        old = [event for event in events if event["actor"] == "original"]
        assert len(old) == 20
        assert events[-20:] == old  # below all that happened here
        assert [int(event["id"]) for event in old] == list(range(-1, -21, -1))
        assert [event["createdAt"] for event in old] == sorted(
            (event["createdAt"] for event in old), reverse=True
        )
        assert old[0]["event"] == "weight_deleted"
        assert old[0]["metadata"] == {"importedFrom": file.name, "originalId": "1762700000000000002"}
        failed = next(event for event in old if event["event"] == "weight_install_failed")
        assert failed["metadata"]["error"] == ("failed to download model.safetensors: unexpected status 404")
        told = next(event for event in events if event["event"] == "state_imported")
        assert told["metadata"] == {"file": str(file), "jobs": 12, "events": 20}


async def test_a_running_service_takes_them_itself_and_only_once(
    tmp_path: Path,
    state: Path,
    file: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importing, "PORTION", 1000)  # so that it takes several requests
    async with open_house(house_settings(tmp_path)) as house:
        for said in (
            f"Imported 12 jobs and 20 events from {file}.\n",
            f"There is nothing new in {file}: all 32 jobs and events are here already.\n",
        ):
            assert await asyncio.to_thread(main, ["state", "import", str(file)]) == 0
            left_out = "Left out, as none of the original's records: history/broken.\n"
            assert capsys.readouterr() == (said, left_out)
        jobs, events = await lists(house)
        assert len(jobs) == 12
        assert len([event for event in events if event["actor"] == "original"]) == 20
        assert len([event for event in events if event["event"] == "state_imported"]) > 3
        pages: list[Any] = []
        for of in ("jobs", "history"):
            asked, cursor = f"/{of}?limit=7", ""
            while cursor is not None:
                _, page = await house.call("GET", f"{asked}&cursor={cursor}" if cursor else asked)
                pages += page["jobs" if of == "jobs" else "events"]
                cursor = page["next"]
        assert pages == [*jobs, *events]
        _, page = await house.call("GET", "/events?after=-3")
        assert [event["id"] for event in page["events"][:3]] == ["-2", "-1", "1"]


async def test_the_command_line_shows_whose_they_are(
    tmp_path: Path, state: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async with open_house(house_settings(tmp_path)):
        for words in ("state import " + str(file), "jobs list", f"jobs show {LEFT_RUNNING}", "history -n 50"):
            assert await asyncio.to_thread(main, words.split()) == 0
        said = capsys.readouterr().out
        assert COMPLETED in said
        assert "by        original" in said
        assert "The original service ended while this job was running." in said
        assert 'error="failed to download model.safetensors: unexpected status 404" importedFrom=' in said


async def tried(house: House) -> Job | None:
    """The retried job once an attempt has ended."""
    job = await house.parts.jobs.get(LEFT_RUNNING)
    return job if job.error else None


async def test_a_job_that_the_original_never_finished_can_be_retried(
    tmp_path: Path, state: Path, file: Path
) -> None:
    """It fails here, in a test without a Hub: but as an install of this version does, and keeps its id."""
    assert await asyncio.to_thread(main, ["state", "import", str(file)]) == 0
    settings = house_settings(tmp_path, hub_endpoint="http://127.0.0.1:1")
    async with open_house(settings) as house:
        assert (await house.call("POST", f"/jobs/{LEFT_RUNNING}/retry"))[1]["status"] == "pending"
        job = await until(lambda: tried(house))
        assert job.error["code"] not in ("internal", "unknown_kind")
        assert await asyncio.to_thread(main, ["state", "import", str(file)]) == 0
        assert (await house.parts.jobs.get(LEFT_RUNNING)).status != "failed"  # it was left as it is now


def test_the_file_may_be_where_this_services_own_state_will_be(run: Run, state: Path, file: Path) -> None:
    state.mkdir()
    (state / "state.db").write_bytes(file.read_bytes())
    code, out, _ = run("state", "import", str(state / "state.db"))
    assert code == 0
    assert "Imported 12 jobs and 20 events" in out
    assert (state / "state.bolt.db").read_bytes() == file.read_bytes()
    assert run("state", "check").code == 0
    assert "nothing new" in run("state", "import", str(state / "state.bolt.db")).out


def test_a_locked_file_and_a_folder_that_somebody_else_has_are_sentences(
    run: Run, state: Path, file: Path
) -> None:
    held = os.open(file, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    code, _, err = run("state", "import", str(file))
    assert (code, "is in use: the service that writes it still runs" in err) == (1, True)
    assert not state.exists()
    os.close(held)

    state.mkdir()
    lock = os.open(state / "state.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)  # of a service that has no address yet
    code, _, err = run("state", "import", str(file))
    assert (code, f"The state folder {state} is in use by" in err) == (1, True)
    os.close(lock)


def test_what_cannot_be_imported_changes_nothing(run: Run, state: Path, file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    other.write_bytes((RECORDED / "empty.db").read_bytes())
    for path, exit_code, told in (
        (other, 2, "not the original's: it has no buckets `jobs` and `history`"),
        (tmp_path / "none.db", 5, "There is no file"),
        (Path(__file__), 1, "is not a BoltDB file"),
    ):
        code, _, err = run("state", "import", str(path))
        assert (code, told in err) == (exit_code, True), err
    assert not state.exists()


HOSTILE: dict[str, dict[str, Any]] = {
    "an id that leads elsewhere": {"id": "../../etc/x"},
    "a status of another program": {"status": "done"},
    "a time without a zone": {"createdAt": "2025-11-01T09:00:00"},
    "a payload that is none": {"payload": "x"},
    "a result without an end": {"result": {"a": functools.reduce(lambda inner, _: [inner], range(100), 1)}},
}

EVENT: dict[str, Any] = {"id": "1", "event": "model_activated", "createdAt": "2025-11-01T09:00:00Z"}


async def test_a_service_refuses_records_that_are_none(tmp_path: Path, state: Path) -> None:
    job = {
        "id": "a", "type": "weight_install", "status": "completed", "payload": {"hfModelId": "a/b", "target": "../x"},
        "createdAt": "2025-11-01T09:00:00Z", "updatedAt": "0001-01-01T00:00:00Z", "stage": "of a later version",
    }  # fmt: skip
    async with open_house(house_settings(tmp_path)) as house:
        for name, change in HOSTILE.items():
            asked = {"file": "f", "jobs": [job | change], "events": []}
            assert (await house.call("POST", "/state/import", asked))[0] == 422, name
        asked = {"file": "f", "events": [EVENT | {"id": "1\0"}]}
        told = "SQLite would read it as another id"
        assert (await house.call("POST", "/state/import", asked))[0] == 422, told

        late = job | {"id": "b", "updatedAt": "9999-12-31T23:59:59-14:00"}
        odd = job | {"id": "c", "payload": {"hfModelId": "a\n/b"}}
        asked = {"file": "f", "jobs": [job, late, job, odd], "events": [EVENT, EVENT]}
        assert (await house.call("POST", "/state/import", asked))[1] == {"jobs": 3, "events": 1, "known": 2}
        found = (await house.call("GET", "/jobs/a"))[1]
        assert (found["key"], found["updatedAt"]) == ("a-b", "1970-01-01T00:00:00.000Z")
        assert (await house.call("GET", "/jobs/b"))[1]["updatedAt"] == "9999-12-31T23:59:59.000Z"
        assert (await house.call("GET", "/jobs/c"))[1]["key"] == "", "no folder is called like that"


async def test_what_is_imported_is_no_ground_for_a_forecast(tmp_path: Path, state: Path) -> None:
    """Any event may be in the file, also one that has a name of ours and not what ours say."""
    kinds = ("activation_active", "weight_install_running", "weight_install_completed")
    events = [EVENT | {"id": kind, "event": kind, "metadata": {"sizeBytes": "many"}} for kind in kinds]
    async with open_house(house_settings(tmp_path)) as house:
        assert (await house.call("POST", "/state/import", {"file": "f", "events": events}))[0] == 200
        assert (await house.call("GET", "/activations/forecast?model=a"))[0] == 200


@pytest.mark.parametrize(
    "record",
    [
        json.dumps(EVENT).encode()[:-1],
        json.dumps(EVENT).encode()[:-1] + b', "metadata": {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}}",
        json.dumps(EVENT | {"metadata": {"a": "x" * original.LARGEST_RECORD}}).encode(),
        {b"a": b"bucket"},
    ],
    ids=["cut off", "without an end", "too long", "a bucket"],
)
def test_what_is_no_record_of_the_originals_is_named_and_left_out(
    record: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = {b"good": json.dumps(EVENT).encode(), b"error:\n\xff": record}
    monkeypatch.setattr(original, "read_bolt", lambda path: {b"jobs": {}, b"history": history})
    found = read_original(Path("state.db"))
    assert [event.id for event in found.events] == ["1"]
    assert found.unreadable == [r"history/error:\n\xff"]


def test_portions_keep_everything_in_order() -> None:
    jobs = read_original(RECORDED / "original.db").jobs
    portions = list(importing.portions(jobs, 1000))
    assert len(portions) > 3
    assert [job for portion in portions for job in portion] == jobs
    assert list(importing.portions(jobs, 1)) == [[job] for job in jobs]
    assert list(importing.portions([], 1)) == []
