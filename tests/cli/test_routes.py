"""Every route of the API has its command, or a reason why it has none."""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from model_manager.listening import announced
from model_manager.state.lock import FolderLock
from tests.cli.conftest import Run
from tests.cli.service import Asked, Reply, Service, chunk, sse
from tests.house import house_settings, open_house, write_catalog

BOLT = Path(__file__).parent.parent / "state/bolt/recorded/original.db"

COMMANDS = {
    "GET /readyz": "health",
    "GET /metrics/history": "metrics",
    "GET /system/info": "status",
    "GET /system/doctor": "doctor",
    "GET /models": "models",
    "POST /models/activate": "activate a --no-wait",
    "POST /models/deactivate": "deactivate",
    "POST /models/test": "models test a",
    "GET /models/{model_id}": "models show a",
    "GET /models/{model_id}/manifest": "models manifest a",
    "GET /catalog": "catalog",
    "POST /refresh": "catalog refresh",
    "GET /catalog/problems": "catalog problems",
    "POST /catalog/preview": "catalog preview ENTRY",
    "POST /catalog/validate": "catalog validate ENTRY",
    "GET /weights": "weights",
    "GET /weights/usage": "weights usage",
    "POST /weights/install": "weights install a --no-wait",
    "GET /weights/{name}/info": "weights info a",
    "DELETE /weights/{name}": "weights delete a",
    "GET /jobs": "jobs",
    "GET /jobs/{job_id}": "jobs show a",
    "POST /jobs/{job_id}/cancel": "jobs cancel a",
    "POST /jobs/{job_id}/retry": "jobs retry a",
    "GET /jobs/{job_id}/logs": "jobs log a",
    "GET /history": "history",
    "GET /events": "events --no-follow",
    "GET /slots": "slots",
    "GET /slots/{slot}": "slots show a",
    "PUT /slots/{slot}": "slots set a b --no-wait",
    "DELETE /slots/{slot}": "slots clear a",
    "POST /slots/{slot}/adopt": "slots adopt a b --no-wait",
    "GET /slots/{slot}/activations": "slots activations a",
    "GET /slots/{slot}/logs": "slots logs a",
    "GET /slots/{slot}/why": "why a",
    "GET /activations": "activations",
    "GET /activations/forecast": "forecast a",
    "GET /activations/{activation_id}": "activations show a",
    "POST /activations/{activation_id}/cancel": "activations cancel a",
    "GET /tokens": "token",
    "POST /tokens": "token create a --scope chat",
    "GET /tokens/current": "token current",
    "DELETE /tokens/{token}": "token revoke a",
    "GET /settings": "settings",
    "POST /state/import": "state import BOLT",
    "GET /support-bundle": "support-bundle -o BUNDLE",
    "GET /v1/models": "chat",
    "POST /v1/chat/completions": "chat a",
}

FOR_PROGRAMS = "it is for programs, which speak OpenAI's or Anthropic's API"
NOT_OFFERED = "it answers 501"
WITHOUT = {
    "GET /healthz": "`health` asks /readyz, which says more",
    "GET /metrics": "it is Prometheus's; `metrics` has the same numbers for people",
    "GET /active": "it is `slots show` in the words of the original",
    "POST /catalog/webhook": "only a Git host can sign it; `catalog refresh` does the same",
    "GET /openapi.json": "it is for programs that write clients",
    "GET /docs": "it is for browsers",
    "GET /v1/models/{model}": FOR_PROGRAMS,
    "POST /v1/completions": FOR_PROGRAMS,
    "POST /v1/embeddings": FOR_PROGRAMS,
    "POST /v1/responses": FOR_PROGRAMS,
    "POST /v1/responses/input_tokens": FOR_PROGRAMS,
    "POST /v1/messages": FOR_PROGRAMS,
    "POST /v1/messages/count_tokens": FOR_PROGRAMS,
    "POST /v1/rerank": FOR_PROGRAMS,
    "POST /v1/score": FOR_PROGRAMS,
    "GET /models/{model_id}/compatibility": NOT_OFFERED,
    "POST /catalog/generate": NOT_OFFERED,
    "POST /catalog/pr": NOT_OFFERED,
    "GET /huggingface/search": NOT_OFFERED,
    "GET /huggingface/models/{hub_id}": NOT_OFFERED,
    "GET /recommendations/profiles": NOT_OFFERED,
    "GET /recommendations/{gpu_type}": NOT_OFFERED,
    "GET /vllm/supported-models": NOT_OFFERED,
    "GET /vllm/model/{architecture}": NOT_OFFERED,
    "POST /vllm/discover": NOT_OFFERED,
    "POST /vllm/model-info": NOT_OFFERED,
}

ACTIVATION = {"id": "a", "slot": "a", "modelId": "a", "phase": "queued", "result": None}
SLOT = {"name": "a", "state": "empty", "desired": None, "serving": None, "reason": "", "lastFailure": None}
CATALOG = {
    "source": "/c", "kind": "git", "revision": "1", "count": 0, "problems": [], "loadedAt": None, "ageSeconds": 0,
}  # fmt: skip
JOB = {"id": "a", "type": "weight_install", "status": "pending", "key": "a"}
ANSWERS: dict[str, Any] = {
    "GET /models": [],
    "GET /system/info": {"version": "1", "platform": "local", "problems": [], "catalog": CATALOG | {"problems": 0}},
    "GET /v1/models": {"data": [{"id": "a"}]},
    "GET /readyz": {"status": "ready"},
    "GET /system/doctor": {"status": "ok", "findings": [{"name": "disk", "status": "ok", "sentence": "It has room."}]},
    "POST /models/test": {"status": "success", "dryRun": {"action": "create", "manifest": {}}, "checks": []},
    "GET /metrics/history": {"time": []},
    "GET /models/a/manifest": {"manifest": {}},
    "GET /catalog": CATALOG,
    "GET /weights": {"weights": [], "notOurs": []},
    "GET /weights/usage": {"totalBytes": 1, "usedBytes": 1, "availableBytes": 1, "installedBytes": 1, "modelCount": 1},
    "POST /weights/install": Reply({"job": JOB}, 202),
    "GET /jobs": {"jobs": []},
    "GET /slots": {"slots": [SLOT]},
    "GET /slots/a": SLOT,
    "GET /slots/a/activations": {"activations": []},
    "GET /activations": {"activations": []},
    "PUT /slots/a": ACTIVATION,
    "POST /slots/a/adopt": Reply({"activation": ACTIVATION}, 202),
    "GET /tokens": {"tokens": []},
    "POST /tokens": Reply({"name": "a", "token": "secret"}, 201),
    "POST /catalog/preview": {"status": "success"},
    "POST /catalog/validate": {"valid": True},
    "GET /settings": {"settings": []},
    "POST /state/import": {"jobs": 1, "events": 0, "known": 0},
    "GET /support-bundle": Reply(b"PK", content_type="application/zip"),
    "POST /models/activate": Reply({"activation": ACTIVATION}, 202),
    "POST /models/deactivate": {"result": {"action": "deleted", "name": "a"}},
    "GET /activations/forecast": {
        "seconds": None, "bytesToFetch": 0, "installSeconds": 0, "stopSeconds": 0, "startSeconds": None,
        "downtimeSeconds": None, "basedOn": 0, "notes": [],
    },
    "POST /v1/chat/completions": lambda _: sse(chunk("hi")),
}  # fmt: skip
OTHERWISE: dict[str, Any] = ACTIVATION | JOB | {
    "name": "a", "message": "Done", "models": [], "revision": "1", "problems": [], "lines": [], "events": [],
    "next": "0", "scope": "chat",
}  # fmt: skip


async def test_every_route_has_a_command_or_a_reason(tmp_path: Path) -> None:
    write_catalog(tmp_path / "catalog", {"a": "nothing"})
    async with open_house(house_settings(tmp_path)) as house:
        _, described = await house.call("GET", "/openapi.json")
    routes = {
        f"{method.upper()} {path}"
        for path, item in described["paths"].items()
        for method in item
        if method in ("get", "put", "post", "delete", "patch")
    }
    assert routes == COMMANDS.keys() | WITHOUT.keys()
    assert not COMMANDS.keys() & WITHOUT.keys()


@pytest.mark.parametrize("route", COMMANDS)
def test_the_command_asks_the_route(
    run: Run, service: Service, state: Path, route: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service.otherwise = lambda asked: _answer(asked)
    monkeypatch.setattr("sys.stdin", io.StringIO("hello"))
    (tmp_path / "entry.json").write_text('{"id": "a"}')
    places = {
        "ENTRY": str(tmp_path / "entry.json"),
        "BUNDLE": str(tmp_path / "bundle.zip"),
        "BOLT": str(BOLT),
    }
    with announced_by(service, state):
        code, _, err = run(*(places.get(word, word) for word in COMMANDS[route].split()))
    assert code == 0, err
    method, path = route.split()
    expected = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
    assert [asked for asked in service.asked if asked.method == method and expected.fullmatch(asked.path)]


@contextmanager
def announced_by(service: Service, state: Path) -> Iterator[None]:
    """The service has the state folder open, too: `state import` goes to whoever has."""
    state.mkdir()
    lock = FolderLock.take(state)
    try:
        with announced(state, service.url):
            yield
    finally:
        lock.release()


def _answer(asked: Asked) -> Reply:
    answer = ANSWERS.get(f"{asked.method} {asked.path}", OTHERWISE)
    if isinstance(answer, Reply):
        return answer
    return answer(asked) if callable(answer) else Reply(answer)
