"""KServe still makes of each recorded pair what it made when it was recorded."""

import json

from testcluster import Cluster

from tests.cluster.pairs import FOLDER, record


async def test_kserve_makes_the_recorded_deployments(cluster: Cluster) -> None:
    # A short name: KServe makes host names of this and of the pairs' names.
    async with cluster.namespace("pairs") as namespace:
        found = await record(namespace)
    assert sorted(found) == sorted(file.stem for file in FOLDER.glob("*.json"))
    for name, pair in found.items():
        assert pair == json.loads((FOLDER / f"{name}.json").read_text()), name
