"""A cluster for each process of a run, a namespace for each test; at the end, what was proved. `make test-cluster`."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from testcluster import Cluster, Namespace, build
from testcluster.cluster import say

from tests.cluster.proved import Claim, stood_on, told, words_of

_failed = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder need the cluster: `-m cluster` chooses them, `make test` leaves them out."""
    for item in items:
        if item.nodeid.startswith("tests/cluster/"):
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(240))  # the first one waits for the cluster to start
            item.user_properties.append(("claim", words_of(item)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    global _failed
    report = yield
    _failed = _failed or report.failed
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A test that failed in any part (its namespace, say) proved nothing."""
    held: dict[tuple[str, str, str], bool] = {}
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, ()):
            claim: Any = dict(report.user_properties).get("claim")
            if claim:
                words = tuple(claim)  # from another process it comes as a list
                held[words] = held.get(words, True) and outcome == "passed"
    if held:
        terminalreporter.section(f"what this run proved, on {stood_on()}")
        for line in told(Claim(*words, held=so) for words, so in held.items()):
            terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Up until this process has run its tests; its logs stay when a test failed."""
    begun = time.monotonic()
    made = Cluster(build.programs(say))
    kept = True
    try:
        asyncio.run(made.start())
        say(f"the cluster is up after {time.monotonic() - begun:.1f} s: {made.url}")
        yield made
        kept = _failed
    finally:
        made.stop(keep_logs=kept)
        if kept:
            say(f"the cluster's logs are in {made.logs}")


@pytest.fixture
async def namespace(cluster: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Namespace]:
    """Named after the test, with nothing in it. When the test is over its pods are gone."""
    name = re.sub(r"[^a-z0-9]+", "-", request.node.name.removeprefix("test_").lower()).strip("-")
    async with cluster.namespace(name) as made:
        yield made
