"""The cause of a failure where a platform and a log both tell something."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from model_manager.errors import Unavailable
from model_manager.serving.activation import Step
from model_manager.serving.causes import Causes, Heard
from model_manager.serving.evidence import Evidence
from model_manager.serving.ledger import Failure
from model_manager.serving.platform import Instance, Observed, Trouble
from tests.serving.fake_platform import FakePlatform

ROW = SimpleNamespace(id="a", slot="active-llm", phase="starting", job_id=None)


class Logging(FakePlatform):
    def __init__(self, *lines: str) -> None:
        super().__init__()
        self.lines = list(lines)

    async def logs(self, name: str, lines: int) -> list[str]:
        return self.lines


def observed(code: str, said: str) -> Observed:
    return Observed("a", (Instance("pod", "a", "running"),), Trouble(code, said, "Do this."))


async def cause(seen: Observed, *lines: str) -> Failure:
    causes = Causes(Logging(*lines), cast(Any, None))
    return await causes.of(Step.FAIL_DEADLINE, cast(Any, ROW), seen, None, Heard("", 600.0))


async def test_a_probe_that_fails_until_the_deadline_is_told_with_the_time() -> None:
    """That a server is not ready explains nothing by itself: its log may."""
    seen = observed("not_ready", "Its Startup probe fails: 503.")
    found = await cause(seen, "loading")
    assert found.code == "never_ready"
    assert "within 600 s" in found.reason
    assert found.reason.endswith("Last heard: Its Startup probe fails: 503.")
    assert (await cause(seen, "torch.OutOfMemoryError: CUDA out of memory")).code == "out_of_gpu_memory"


async def test_what_the_platform_knows_goes_before_the_log() -> None:
    seen = observed("node_lost", "The node gpu-1 does not answer.")
    found = await cause(seen, "unknown model architecture: 'x'")
    assert (found.code, found.hint) == ("node_lost", "Do this.")


async def test_a_failure_keeps_what_the_platform_showed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that takes long or fails does not hold up what is to be put back."""

    class Shown(Logging):
        async def evidence(self, name: str) -> Evidence:
            return Evidence(unknown=("something",))

    class Slow(Logging):
        async def evidence(self, name: str) -> Evidence:
            await asyncio.Event().wait()
            raise AssertionError

    class Away(Logging):
        async def evidence(self, name: str) -> Evidence:
            raise Unavailable("The cluster is away.")

    monkeypatch.setattr("model_manager.serving.causes.LOOK", 0.01)
    for platform, said in (
        (Shown(), "something"),
        (Slow(), "took longer than"),
        (Away(), "The cluster is away."),
    ):
        causes = Causes(platform, cast(Any, None))
        seen = observed("gpu_missing", "No GPU.")
        found = await causes.of(Step.FAIL_DEADLINE, cast(Any, ROW), seen, None, Heard("", 1.0))
        assert said in found.evidence.unknown[0]
