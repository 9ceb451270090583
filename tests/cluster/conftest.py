"""One cluster for the whole run, one namespace for each test. `make test-cluster` runs these tests."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Iterator

import pytest
from testcluster import Cluster, Namespace, build
from testcluster.cluster import say

_failed = False


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder need the cluster: `-m cluster` chooses them, `make test` leaves them out."""
    for item in items:
        if item.nodeid.startswith("tests/cluster/"):
            item.add_marker(pytest.mark.cluster)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    global _failed
    report = yield
    _failed = _failed or report.failed
    return report


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Up for the whole run; its logs stay when a test failed."""
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
