"""The support bundle holds what helps, and of many planted secrets none (U6)."""

import asyncio
import io
import json
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from model_manager.web import bundle
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes
from tests.web.asking import install

CANARY = "cAnArY"
"""Part of every planted secret. Each one has a shape or a name that gives it away, as real ones have."""

ENVIRON = {
    "AWS_SECRET_ACCESS_KEY": f"aws/{CANARY}0123456789",
    "HF_TOKEN": f"hf_env{CANARY}0123456789",
}
SETTINGS = {
    "hub_token": f"hf_setting{CANARY}0123",
    "webhook_secret": f"webhook {CANARY} words",
    "hub_endpoint": f"https://user:{CANARY}@hub.example/hf?token={CANARY}",
}
ENTRY_ENV = [
    {"name": "DB_PASSWORD", "value": f"entry-{CANARY}-password"},
    {"name": "GREETING", "value": f"hello {CANARY}"},
]
LOGGED = (
    f"Authorization: Bearer {CANARY}0123456789",
    f"cloning https://git:{CANARY}@git.example/x.git",
    f"using ghp_{CANARY}0123456789 and github_pat_{CANARY}0123456789 and glpat-{CANARY}0123456789",
    f"keys AKIA{CANARY.upper()}0123456789 hf_{CANARY}0123456789",
    f"password: {CANARY}",
    f"GET /x?token={CANARY}",
    "-----BEGIN RSA PRIVATE KEY-----",
    f"MIIB{CANARY}",
    "-----END RSA PRIVATE KEY-----",
    f"the database said no to entry-{CANARY}-password",
    "an ordinary line",
)


def chatty() -> dict[str, Any]:
    """A model server that logs what it should not."""
    document = runtime("chatty")
    container = document["spec"]["containers"][0]
    script = "\n".join(f"echo '{line}'" for line in LOGGED) + '\nexec "$@"'
    container["command"] = ["/bin/sh", "-c", script, "sh", *container["command"]]
    container["env"] = [{"name": "RUNTIME_TOKEN", "value": f"runtime-{CANARY}"}]
    return document


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    write_catalog(
        tmp_path / "catalog", {"demo": "chatty", "secretive": "chatty"}, secretive={"env": ENTRY_ENV}
    )
    (tmp_path / "catalog" / "models" / "bad.json").write_text(
        f'{{"id": "bad", "token=": "{CANARY}", "vllm": 3}}'
    )
    write_runtimes(tmp_path / "runtimes", [chatty()])
    async with open_house(house_settings(tmp_path, slots=("second",), **SETTINGS)) as house:
        yield house


async def unpacked(client: httpx2.AsyncClient) -> dict[str, str]:
    response = await client.get("/support-bundle")
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"].startswith('attachment; filename="model-manager-support-')
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        return {name: archive.read(name).decode() for name in archive.namelist()}


async def test_u6_no_planted_secret_is_in_it(client: httpx2.AsyncClient, house: House) -> None:
    job = await install(client, "demo")
    log = house.settings.state_path / "logs" / "jobs" / f"{job['id']}.log"
    log.write_text("\n".join(LOGGED))
    answer = await client.post("/models/activate?wait=30", json={"id": "demo"})
    assert answer.status_code == 200, answer.text
    await client.post("/models/activate?wait=30", json={"id": "secretive", "slot": "second"})
    data = {"line": LOGGED[0], "hubToken": CANARY, "logTail": list(LOGGED), "nested": [{"password": CANARY}]}
    await house.parts.database.write(lambda txn: house.parts.events.append(txn, "planted", "x", data))

    files = await unpacked(client)
    told = [
        f"{name}: {line}"
        for name, text in files.items()
        for line in text.splitlines()
        if CANARY.lower() in line.lower()
    ]
    assert told == []
    assert house.service.token not in "".join(files.values())

    job_log, server_log = files[f"jobs/{job['id']}.log"], files["slots/active-llm.log"]
    for text in (job_log, server_log, files["history.jsonl"]):
        assert "an ordinary line" in text
        assert "the database said no to [secret]" in text
    manifests = json.loads(files["manifests.json"]).values()
    assert {manifest["metadata"]["name"] for manifest in manifests} == {"active-llm", "second"}
    assert '"DB_PASSWORD"' in files["manifests.json"]
    assert list(json.loads(files["runtimes.json"])) == ["chatty"]


async def test_it_holds_what_helps(client: httpx2.AsyncClient, house: House) -> None:
    files = await unpacked(client)
    readme = files["README.txt"]
    listed = [line.split()[0] for line in readme.splitlines() if line[:1].islower() and "  " in line]
    assert {name for name in listed if not name.endswith("/")} == {
        name for name in files if name != "README.txt"
    }
    assert "Look through it before you hand it on" in readme
    machine = json.loads(files["machine.json"])
    assert machine["memoryBytes"]["MemTotal"] > machine["memoryBytes"]["MemAvailable"] > 0
    assert set(machine["diskBytes"]) == {"state", "weights"}
    settings = {row["name"]: row for row in json.loads(files["settings.json"])}
    assert settings["hub_token"]["value"] == "set"
    assert json.loads(files["system.json"])["version"] == house.parts.version
    assert [slot["name"] for slot in json.loads(files["slots.json"])] == ["active-llm", "second"]
    examined = json.loads(files["doctor.json"])
    assert {"state-folder", "catalog", "runtime"} <= {finding["name"] for finding in examined["findings"]}
    assert json.loads(files["catalog.json"])["problems"][0]["file"] == "models/bad.json"
    assert json.loads(files["history.jsonl"].splitlines()[0])["event"] == "catalog_problem"
    assert "model_manager_build_info" in files["metrics.txt"]


async def test_a_platform_that_answers_nobody_does_not_keep_it_away(
    client: httpx2.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def examine(manifests: Any) -> Any:
        await asyncio.sleep(60)

    monkeypatch.setattr(house.parts.platform, "examine", examine)
    monkeypatch.setattr(bundle, "EXAMINATION", 0.05)
    (finding,) = json.loads((await unpacked(client))["doctor.json"])["findings"]
    assert (finding["name"], finding["status"]) == ("doctor", "unknown")


async def test_a_long_history_is_cut_and_the_bundle_stays_small(
    client: httpx2.AsyncClient, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(txn: Any) -> None:
        for number in range(bundle.EVENTS + 500):
            house.parts.events.append(txn, "long", str(number), {"text": f"{number} " * 500})

    await house.parts.database.write(write)
    response = await client.get("/support-bundle")
    assert len(response.content) < 1 << 20
    history = (await unpacked(client))["history.jsonl"].splitlines()
    assert history[-1].startswith("[cut: this file had ")
    assert json.loads(history[0])["subject"] == str(bundle.EVENTS + 499)
