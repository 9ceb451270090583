"""Objects read from the folders of Go modules: CRDs, webhook configurations, ConfigMaps. None of them is kept here."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from testcluster.api import Api, Object

DISCOVERY = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
"""The one list of all groups that controllers read."""

Place = tuple[str, str, str]
"""Group, version and plural name of a resource."""

PATIENCE = 120.0
"""Seconds that a server may take to listen, to serve a new CRD, to have its webhooks called: on a busy machine."""


def read(*files: Path) -> Iterator[Object]:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # KServe's CRDs are 2 MB: 0.5 s instead of 10
    for file in files:
        with file.open("rb") as stream:
            yield from (document for document in yaml.load_all(stream, loader) if document)


async def apply_all(api: Api, objects: Iterable[Object]) -> None:
    await asyncio.gather(*(api.apply(one, patience=PATIENCE) for one in objects))


async def create_crds(api: Api, objects: Iterable[Object]) -> None:
    """Create them, and wait until the server serves each. Creating takes a third of what applying does."""
    crds = list(objects)
    await asyncio.gather(*(api.create("customresourcedefinitions", crd) for crd in crds))
    await asyncio.gather(*(_established(api, crd["metadata"]["name"]) for crd in crds))
    await _discovered(api, {place for crd in crds for place in _places(crd)})


async def _established(api: Api, name: str) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            crd = await api.get("customresourcedefinitions", name)
            conditions = crd.get("status", {}).get("conditions") or []
            if any(one["type"] == "Established" and one["status"] == "True" for one in conditions):
                return
            await asyncio.sleep(0.1)


async def _discovered(api: Api, places: set[Place]) -> None:
    """Established is not yet found: a controller that starts in between says "no matches for kind" and ends."""
    async with asyncio.timeout(PATIENCE):
        while True:
            found = await api.ask("GET", "/apis", accept=DISCOVERY)
            if places <= {
                (group["metadata"]["name"], version["version"], one["resource"])
                for group in found["items"]
                for version in group["versions"]
                for one in version.get("resources", [])
            }:
                return
            await asyncio.sleep(0.1)


def _places(crd: Object) -> Iterator[Place]:
    spec = crd["spec"]
    for version in spec["versions"]:
        if version["served"]:
            yield spec["group"], version["name"], spec["names"]["plural"]


async def namespace(api: Api, name: str) -> None:
    await api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
