"""Traces of a whole house, read by a collector; and that nobody pays for them, or suffers from one that is ill."""

import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import pytest_asyncio

from model_manager.errors import SettingsError
from model_manager.tracing import open_traces
from tests.collector import Collector, attributes, collector
from tests.house import House, house_settings, open_house, runtime, write_catalog, write_runtimes

pytestmark = pytest.mark.xdist_group("tracing")  # one worker: what its tests share is started once

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@asynccontextmanager
async def traced_house(folder: Path, endpoint: str) -> AsyncIterator[House]:
    write_catalog(folder / "catalog", {"demo": "well", "broken": "exits"})
    write_runtimes(folder / "runtimes", [runtime("well"), runtime("exits", "exit:3")])
    async with open_house(house_settings(folder, otel_endpoint=endpoint)) as house:
        yield house


async def get(house: House, path: str, **headers: str) -> httpx2.Response:
    authorization = {"authorization": f"Bearer {house.service.token}"}
    async with httpx2.AsyncClient(base_url=house.service.url, trust_env=False) as client:
        return await client.get(path, headers=authorization | headers)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def seen(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Collector, dict[str, Any]]]:
    """What a collector had after a house was opened, used and closed."""
    with collector() as found:
        async with traced_house(tmp_path_factory.mktemp("house"), found.url) as house:
            activation = await house.active("demo")
            failed = await house.ended(await house.activate("broken"))
            await house.serves("demo")
            await get(house, "/jobs/none?secret=hunter2", traceparent=TRACEPARENT, **{"x-request-id": "r-1"})
            await get(house, "/healthz")
            status, answer = await house.chat()
            assert status == 200, answer
            token = house.service.token
        yield found, {"activation": activation, "failed": failed, "token": token}


async def test_a_request_s_span_continues_the_client_s_trace(seen: tuple[Collector, dict[str, Any]]) -> None:
    found, _ = seen
    (span,) = found.named("GET /jobs/{job_id}")
    assert span.trace_id.hex() == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert span.parent_span_id.hex() == "00f067aa0ba902b7"
    facts = attributes(span)
    assert (facts["http.route"], facts["http.response.status_code"]) == ("/jobs/{job_id}", 422)
    assert (facts["model_manager.request_id"], facts["model_manager.actor"]) == ("r-1", "admin")
    assert found.named("GET /healthz") == []


async def test_an_activation_is_a_trace_of_its_phases(seen: tuple[Collector, dict[str, Any]]) -> None:
    found, was = seen
    spans = {attributes(span)["model_manager.activation"]: span for span in found.named("activation")}
    span = spans[was["activation"].id]
    facts = attributes(span)
    assert facts["model_manager.result"] == "active"
    assert (facts["model_manager.slot"], facts["model_manager.model"]) == ("active-llm", "demo")
    phases = [one for one in found.spans if one.parent_span_id == span.span_id]
    assert [one.name for one in phases] == ["queued", "installing", "starting", "verifying"]
    assert all(span.start_time_unix_nano <= one.start_time_unix_nano for one in phases)
    broken = spans[was["failed"].id]
    assert attributes(broken)["model_manager.result"] == "failed"
    assert broken.status.code == broken.status.STATUS_CODE_ERROR


async def test_a_job_is_a_span(seen: tuple[Collector, dict[str, Any]]) -> None:
    found, _ = seen
    spans = found.named("job weight_install")
    assert {attributes(span)["model_manager.job.status"] for span in spans} == {"completed"}
    assert len(spans) == 2


async def test_what_is_sent_holds_no_secret(seen: tuple[Collector, dict[str, Any]]) -> None:
    found, was = seen
    sent = b"".join(found.bodies)
    assert b"weight_install" in sent
    assert b"hunter2" not in sent
    assert was["token"].encode() not in sent


async def test_the_model_server_is_told_of_our_span(tmp_path: Path) -> None:
    given: dict[str, str] = {}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        given.update({name.decode(): value.decode() for name, value in scope["headers"]})

    with collector() as found:
        traces = open_traces(found.url, "1")
        assert traces is not None
        headers = [(b"host", b"here"), (b"traceparent", TRACEPARENT.encode()), (b"tracestate", b"a=b")]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "headers": headers}
        await traces.requests_of(app)(scope, None, None)  # type: ignore[arg-type]
        await traces.aclose()
        (span,) = found.spans
    version, trace, parent, flags = given["traceparent"].split("-")
    assert (version, trace, flags) == ("00", "4bf92f3577b34da6a3ce929d0e0e4736", "01")
    assert parent == span.span_id.hex() != "00f067aa0ba902b7"
    assert (given["tracestate"], given["host"]) == ("a=b", "here")


@pytest.mark.parametrize("ill", [{"status": 500}, {"status": 400}, {"hang": 4.0}], ids=str)
async def test_an_ill_collector_disturbs_nobody(ill: dict[str, Any], tmp_path: Path) -> None:
    with collector(**ill) as found:
        async with traced_house(tmp_path, found.url) as house:
            assert (await get(house, "/slots")).status_code == 200
            closing = time.monotonic()
        assert time.monotonic() - closing < 3.5


async def test_no_collector_at_all_disturbs_nobody(tmp_path: Path) -> None:
    async with traced_house(tmp_path, "http://127.0.0.1:9") as house:
        assert (await get(house, "/slots")).status_code == 200
        closing = time.monotonic()
    assert time.monotonic() - closing < 3.5


@pytest.mark.parametrize(
    "endpoint", ["localhost:4318", "ftp://here", "http://user:s3cret@here", "http://", "grpc://here:4317"]
)
def test_an_endpoint_that_is_none_is_refused_and_not_shown(endpoint: str) -> None:
    with pytest.raises(SettingsError) as caught:
        open_traces(endpoint, "1")
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in caught.value.sentence
    assert "s3cret" not in f"{caught.value.sentence} {caught.value.hint}"


def test_without_the_package_it_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from model_manager.errors import SettingsError\n"
        "from model_manager.tracing import open_traces\n"
        "assert open_traces('', '1') is None\n"
        "try: open_traces('http://127.0.0.1:4318', '1')\n"
        "except SettingsError as e: print(e.hint)\n"
    )
    out = subprocess.run([sys.executable, "-c", program], check=True, timeout=60, capture_output=True)
    assert b"pip install 'model-manager[otel]'" in out.stdout


def test_without_an_endpoint_nothing_of_it_is_imported(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from model_manager import app\n"
        "from tests.house import house_settings, write_catalog\n"
        "folder = Path(sys.argv[1])\n"
        "write_catalog(folder / 'catalog', {})\n"
        "async def main():\n"
        "    async with app.running(house_settings(folder)): pass\n"
        "asyncio.run(main())\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'google'))])\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path)]
    out = subprocess.run(
        command, check=True, timeout=60, capture_output=True, cwd=Path(__file__).parent.parent
    )
    assert out.stdout.strip() == b"[]"
