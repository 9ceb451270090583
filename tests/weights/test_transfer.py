"""The seam: a plan becomes verified bytes in staging, or a sentence and nothing trusted."""

import errno
import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from model_manager.errors import Forbidden, ModelManagerError, NotFound, Unprocessable, UpstreamError
from model_manager.weights import fetch
from model_manager.weights import transfer as mover
from model_manager.weights.fetch import origin_of
from model_manager.weights.hub import plan_hub
from model_manager.weights.pace import Meter, Pace
from model_manager.weights.plan import Access, Plan, PlannedFile
from model_manager.weights.transfer import transfer
from model_manager.weights.uri import HubSource
from tests.hub.fake import Failure, FakeHub
from tests.waiting import until_sync
from tests.weights.fakes import MODEL, Cancelled, FakeControl, tree_of

BIG = "model.safetensors"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mover, "BACKOFF", 0.01)


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


@pytest.fixture
def plan(hub: FakeHub) -> Plan:
    hub.commit("org/model", MODEL)
    return plan_hub(HubSource("org/model"), (), endpoint=hub.url)


def test_every_file_arrives_hashed(plan: Plan, staging: Path, control: FakeControl) -> None:
    files = transfer(plan, staging, control, control.report)
    assert tree_of(staging) == MODEL
    assert {file.path: file.sha256 for file in files} == {
        path: hashlib.sha256(data).hexdigest() for path, data in MODEL.items()
    }
    last = control.reports[-1]
    assert last["bytes_done"] == last["bytes_total"] == plan.size
    assert last.keys() == {"bytes_done", "bytes_total", "rate", "eta", "file"}


@pytest.mark.parametrize("path", [BIG, "config.json"])
@pytest.mark.parametrize(
    "failure",
    ["bitflip", "html", "longer", "shorter", "cut", "reset", "gzip", "429", "500", "503", "moved-commit"],
)
def test_d1_d6_d7_what_passes_is_fetched_again(
    hub: FakeHub, plan: Plan, staging: Path, control: FakeControl, path: str, failure: Failure
) -> None:
    hub.fail(path, failure, times=2)
    transfer(plan, staging, control, control.report)
    assert tree_of(staging) == MODEL
    assert len(control.logged) == 2 and "(3 of 3)" in control.logged[1]


def test_d1_a_flipped_bit_fails_after_three_attempts(
    hub: FakeHub, plan: Plan, staging: Path, control: FakeControl
) -> None:
    hub.fail(BIG, "bitflip")
    with pytest.raises(UpstreamError, match="wrong sha256") as caught:
        transfer(plan, staging, control, control.report)
    want = hashlib.sha256(MODEL[BIG]).hexdigest()
    assert caught.value.data["file"] == BIG and caught.value.data["want"] == want
    assert caught.value.data["got"] not in (want, None) and want in caught.value.sentence
    assert caught.value.data["retryable"] is False
    assert len(hub.seen("cdn")) == 3
    assert not (staging / BIG).exists()


def test_d1_small_files_are_held_to_their_git_hash(
    hub: FakeHub, plan: Plan, staging: Path, control: FakeControl
) -> None:
    hub.fail("config.json", "bitflip")
    with pytest.raises(UpstreamError, match="wrong git blob sha1"):
        transfer(plan, staging, control, control.report)


@pytest.mark.parametrize("failure", ["html", "longer", "shorter", "gzip", "wrong-linked-size"])
def test_d2_what_cannot_be_the_file_is_rejected_before_a_byte_is_written(
    hub: FakeHub,
    plan: Plan,
    staging: Path,
    control: FakeControl,
    failure: Failure,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written: list[bytes] = []
    monkeypatch.setattr(mover, "_write_all", lambda descriptor, data: written.append(bytes(data)))
    hub.fail(BIG, failure)
    only = Plan(
        source=plan.source,
        revision=None,
        access=plan.access,
        files=tuple(f for f in plan.files if f.path == BIG),
    )
    with pytest.raises(UpstreamError, match="web page" if failure == "html" else "wrong (size|encoding)"):
        transfer(only, staging, control, control.report)
    assert written == []


@pytest.mark.parametrize(
    ("failure", "kind", "words"),
    [("401", Forbidden, "token"), ("403", Forbidden, "gated"), ("404", NotFound, "does not exist")],
)
def test_d12_revoked_or_deleted_midway_is_terminal(
    hub: FakeHub, plan: Plan, staging: Path, control: FakeControl, failure: Failure, kind: type, words: str
) -> None:
    hub.fail(BIG, failure)
    with pytest.raises(kind, match=words) as caught:
        transfer(plan, staging, control, control.report)
    assert len(hub.seen("hub", f"/{BIG}")) == 1, "no retry storm"
    assert caught.value.data["retryable"] is False


def test_d10_an_address_that_ran_out_is_asked_for_again(
    hub: FakeHub, plan: Plan, staging: Path, control: FakeControl
) -> None:
    hub.fail(BIG, "cdn-403", times=1)
    transfer(plan, staging, control, control.report)
    assert len(hub.seen("hub", f"/{BIG}")) == 2


def test_u7_the_token_stays_with_its_origin_and_out_of_texts(
    hub: FakeHub, staging: Path, control: FakeControl
) -> None:
    hub.commit("org/gated", MODEL)
    hub.repos["org/gated"].gated = True
    plan = plan_hub(HubSource("org/gated"), (), endpoint=hub.url, token="hf_good")
    hub.fail(BIG, "cut", times=1)
    transfer(plan, staging, control, control.report)
    assert all("authorization" in request.headers for request in hub.seen("hub", "/resolve/"))
    assert hub.seen("cdn") and not any("authorization" in request.headers for request in hub.seen("cdn"))
    assert "hf_good" not in repr(plan.access) + repr(control.logged) + repr(control.reports)
    assert "secret-signature" not in repr(control.logged)


@pytest.mark.parametrize("failure", ["reset", "503", "401", "cut"])
def test_u6_no_error_holds_an_address_or_token(
    hub: FakeHub, staging: Path, control: FakeControl, failure: Failure
) -> None:
    hub.commit("org/model", MODEL)
    plan = plan_hub(HubSource("org/model"), (), endpoint=hub.url, token="hf_good")
    hub.fail(BIG, failure)
    with pytest.raises(ModelManagerError) as caught:
        transfer(plan, staging, control, control.report)
    text = caught.value.sentence + caught.value.hint + repr(caught.value.data) + repr(control.logged)
    assert "hf_good" not in text and "Signature" not in text and "Traceback" not in text


def test_redirects_are_few_and_never_to_plain_http() -> None:
    with pytest.raises(Unprocessable, match="over http"):
        fetch.check_url("http://169.254.169.254/latest", allow_http=True)
    with pytest.raises(Unprocessable, match="over file"):
        fetch.check_url("file:///etc/passwd", allow_http=True)
    with pytest.raises(Unprocessable):
        fetch.check_url("http://127.0.0.1/x", allow_http=False)
    fetch.check_url("http://[::1]:80/x", allow_http=True)
    assert origin_of("https://hub.example/x") == origin_of("https://HUB.example:443/y")
    assert len({origin_of(u) for u in ("https://h/x", "http://h/x", "https://h:8443/x", "https://g/x")}) == 4


def test_d25_progress_never_falls_nor_passes_the_total(
    hub: FakeHub, plan: Plan, staging: Path, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Meter, "INTERVAL", 0.0)
    hub.fail(BIG, "cut", times=2)
    transfer(plan, staging, control, control.report)
    done = [report["bytes_done"] for report in control.reports]
    assert done == sorted(done) and done[-1] == plan.size and max(done) <= plan.size


def test_progress_comes_at_most_twice_a_second(hub: FakeHub, staging: Path, control: FakeControl) -> None:
    control.limit = 200_000
    hub.commit("org/model", {"m.bin": b"x" * 300_000})
    plan = plan_hub(HubSource("org/model"), (), endpoint=hub.url)
    start = time.monotonic()
    transfer(plan, staging, control, control.report)
    took = time.monotonic() - start
    assert len(control.reports) <= 2 * took + 2
    assert took >= 1.2, "300 kB at 200 kB/s"
    middle = control.reports[1]
    assert 100_000 < middle["rate"] < 400_000 and 0 < middle["eta"] < 3


class Transferring:
    """A transfer in a thread, to be told things meanwhile."""

    def __init__(self, plan: Plan, staging: Path, control: FakeControl) -> None:
        self.error: BaseException | None = None

        def run() -> None:
            try:
                transfer(plan, staging, control, control.report)
            except BaseException as error:
                self.error = error

        self.thread = threading.Thread(target=run, daemon=True)
        self.thread.start()

    def ended(self, timeout: float) -> bool:
        self.thread.join(timeout)
        return not self.thread.is_alive()


@pytest.fixture
def slow(hub: FakeHub, control: FakeControl) -> Plan:
    hub.commit("org/model", {"m.bin": b"x" * 1_000_000})
    control.limit = 50_000
    return plan_hub(HubSource("org/model"), (), endpoint=hub.url)


def test_the_limit_may_change_meanwhile(slow: Plan, staging: Path, control: FakeControl) -> None:
    running = Transferring(slow, staging, control)
    until_sync(lambda: control.reports)
    control.limit = None
    assert running.ended(2.0) and running.error is None


def test_a_pause_holds_and_lets_go(slow: Plan, staging: Path, control: FakeControl) -> None:
    running = Transferring(slow, staging, control)
    until_sync(lambda: control.reports)
    control.paused = True
    control.limit = None
    assert not running.ended(0.4)
    size = (staging / "m.bin").stat().st_size
    assert not running.ended(0.2) and (staging / "m.bin").stat().st_size == size < 1_000_000
    control.paused = False
    assert running.ended(2.0) and running.error is None


@pytest.mark.parametrize("state", ["limited", "paused", "between attempts"])
def test_d18_cancel_is_heard_at_once(
    hub: FakeHub, slow: Plan, staging: Path, control: FakeControl, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if state == "between attempts":
        monkeypatch.setattr(mover, "BACKOFF", 60)
        hub.fail("m.bin", "html")
    running = Transferring(slow, staging, control)
    until_sync(lambda: control.logged if state == "between attempts" else control.reports)
    control.paused = state == "paused"
    control.cancelled = True
    assert running.ended(1.0) and isinstance(running.error, Cancelled)


def test_unused_time_under_a_limit_is_not_saved_up(
    control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(time, "monotonic", lambda: now)
    monkeypatch.setattr(time, "sleep", sleep)
    control.limit = 100
    pace = Pace(control)
    pace.spend(100)
    assert now == pytest.approx(1.0)
    now += 1000  # a stall
    pace.spend(100)
    assert now == pytest.approx(1002.0)


Local = Callable[[bytes], PlannedFile]


@pytest.fixture
def local(tmp_path: Path) -> Local:
    def make(data: bytes) -> PlannedFile:
        path = tmp_path / "source.gguf"
        path.write_bytes(data)
        return PlannedFile(path="m.gguf", size=len(data), local=str(path))

    return make


def local_plan(*files: PlannedFile) -> Plan:
    return Plan(source={"uri": "file:x"}, revision=None, files=files, access=Access())


def test_a_local_file_is_copied_and_hashed(staging: Path, control: FakeControl, local: Local) -> None:
    files = transfer(local_plan(local(b"weights" * 1000)), staging, control, control.report)
    assert (staging / "m.gguf").read_bytes() == b"weights" * 1000
    assert files[0].sha256 == hashlib.sha256(b"weights" * 1000).hexdigest()


@pytest.mark.parametrize("change", ["grows", "shrinks", "vanishes", "becomes a symlink"])
def test_a_local_file_that_changes_after_planning_is_refused(
    staging: Path, control: FakeControl, local: Local, change: str
) -> None:
    file = local(b"weights")
    source = Path(str(file.local))
    if change == "grows":
        source.write_bytes(b"weights and more")
    elif change == "shrinks":
        source.write_bytes(b"w")
    else:
        source.unlink()
        if change == "becomes a symlink":
            source.symlink_to("/etc/passwd")
    with pytest.raises(ModelManagerError):
        transfer(local_plan(file), staging, control, control.report)
    assert tree_of(staging) == {}


def test_d23_nothing_is_written_through_what_lies_in_staging(
    staging: Path, control: FakeControl, local: Local, tmp_path: Path
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (staging / "m.gguf").symlink_to(victim)
    with pytest.raises(ModelManagerError):
        transfer(local_plan(local(b"weights")), staging, control, control.report)
    assert victim.read_bytes() == b"precious"


def test_k4_a_file_whose_sync_failed_is_lost_and_fetched_again(
    hub: FakeHub, plan: Plan, staging: Path, control: FakeControl, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After EIO the kernel forgets the pages: a second fsync of the same file would say yes to a hole."""
    sync, failures = os.fsync, [OSError(errno.EIO, "Input/output error")]

    def failing(descriptor: int) -> None:
        if failures:
            raise failures.pop()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    transfer(plan, staging, control, control.report)
    assert tree_of(staging) == MODEL and len(control.logged) == 1
    smallest = min(MODEL, key=lambda path: len(MODEL[path]))
    assert len(hub.seen("hub", f"/{smallest}")) == 2


def test_a_url_that_lies_behind_a_chain_of_redirects_is_given_up(
    hub: FakeHub, staging: Path, control: FakeControl
) -> None:
    hub.commit("org/model", MODEL)
    hub.loops = True
    plan = plan_hub(HubSource("org/model"), (), endpoint=hub.url)
    with pytest.raises(UpstreamError, match=r"redirects 'config\.json' in a circle"):
        transfer(plan, staging, control, control.report)
    assert len(hub.seen("hub", "/config.json")) == 1 + fetch.MAX_REDIRECTS


def test_a_server_that_is_not_there_is_a_sentence_and_worth_another_attempt(
    plan: Plan, hub: FakeHub, staging: Path, control: FakeControl
) -> None:
    hub.close()
    with pytest.raises(UpstreamError, match=r"127\.0\.0\.1 takes no connection") as caught:
        transfer(plan, staging, control, control.report)
    assert caught.value.data["retryable"] is True and len(control.logged) == 2
