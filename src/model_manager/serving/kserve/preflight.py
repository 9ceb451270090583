"""What can be known before the old model is stopped: whether the new one can ever start on this cluster.

What may not be read is unknown, and does not stop anyone; the log names the right that is missing.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from model_manager.errors import Forbidden, NotFound, Unprocessable
from model_manager.serving.kserve import capacity
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.kinds import (
    CLAIMS,
    CLUSTER_RUNTIMES,
    CONFIG_MAPS,
    NODES,
    RUNTIMES,
    SECRETS,
    Kind,
    Object,
    mapping,
    name_of,
)
from model_manager.serving.kserve.refusals import NoKind
from model_manager.serving.platform import Manifest
from model_manager.serving.runtime import Container, assemble

log = logging.getLogger(__name__)

LONGEST_LABEL = 63
"""Characters between two dots of a host name (RFC 1035 §2.3.4)."""

_REFERENCES = {
    "secretKeyRef": SECRETS,
    "configMapKeyRef": CONFIG_MAPS,
    "secretRef": SECRETS,
    "configMapRef": CONFIG_MAPS,
}


class Preflight:
    """`claim` is the one that this service installs weights to; `weights_there` looks for a folder on it."""

    def __init__(
        self, api: Api, claim: str = "", weights_there: Callable[[str], bool] = lambda folder: True
    ) -> None:
        self._api, self._claim, self._weights_there = api, claim, weights_there

    async def check(self, manifest: Manifest) -> None:
        """Raises Unprocessable with the first reason why it can never start."""
        self._check_name(manifest["metadata"]["name"])
        container = await self._container(manifest)
        await self._check_weights(manifest)
        for kind, name in sorted(_named(manifest, container), key=lambda pair: (pair[0].plural, pair[1])):
            await self._must_exist(kind, name)
        if container is not None:
            await self._check_nodes(container)

    def _check_name(self, name: str) -> None:
        """KServe makes a label of a host name of both names; one that is too long it tries to make for ever."""
        if len(host := f"{name}-predictor-{self._api.namespace}") > LONGEST_LABEL:
            raise Unprocessable(
                f"KServe can make no host name of the slot and its namespace: {host} has {len(host)} characters.",
                f"At most {LONGEST_LABEL} are allowed: shorten the name of the slot or of the namespace.",
                reason="name_too_long",
            )

    async def _container(self, manifest: Manifest) -> Container | None:
        """As KServe will make it, or None where the runtime may not be read."""
        name = manifest["spec"]["predictor"]["model"].get("runtime", "")
        for kind in (RUNTIMES, CLUSTER_RUNTIMES):
            try:
                return assemble(manifest, {name: await self._api.get(kind, name)})
            except NoKind:
                if kind is RUNTIMES:
                    raise
            except NotFound:
                continue
            except Forbidden as forbidden:
                log.info("whether the runtime %s exists is not known: %s", name, forbidden.sentence)
                return None
        return assemble(manifest, await self._runtimes())  # refuses it, and says which there are

    async def _runtimes(self) -> Mapping[str, Object]:
        found: dict[str, Object] = {}
        for kind in (CLUSTER_RUNTIMES, RUNTIMES):
            try:
                found |= {name_of(item): item for item in (await self._api.list_all(kind))[0]}
            except (Forbidden, NotFound) as error:
                log.info("not all runtimes can be listed: %s", error.sentence)
        return found

    async def _check_weights(self, manifest: Manifest) -> None:
        uri = str(manifest["spec"]["predictor"]["model"].get("storageUri", ""))
        if not uri.startswith("pvc://"):
            return
        claim, _, folder = uri.removeprefix("pvc://").partition("/")
        found = await self._look(CLAIMS, claim)
        if found is not None and (phase := mapping(found.get("status")).get("phase")) not in (None, "Bound"):
            raise Unprocessable(
                f"The volume claim {claim} is not bound to a volume; it is {phase}.",
                f"See `kubectl describe pvc {claim}`.", reason="claim_unbound",
            )  # fmt: skip
        if claim == self._claim and folder and not self._weights_there(folder):
            raise Unprocessable(
                f"The weights are not there: the claim {claim} has no folder {folder}.",
                "Install the model's weights, or correct the entry's `storageUri`.", reason="weights_missing",
            )  # fmt: skip

    async def _must_exist(self, kind: Kind, name: str) -> None:
        await self._look(kind, name)

    async def _look(self, kind: Kind, name: str) -> Object | None:
        """The object, or None where it may not be read. Raises Unprocessable when it does not exist."""
        what = {CLAIMS: "volume claim", SECRETS: "secret"}.get(kind, "ConfigMap")
        try:
            return await self._api.get(kind, name)
        except Forbidden as forbidden:
            log.info("whether the %s %s exists is not known: %s", what, name, forbidden.sentence)
            return None
        except NotFound as missing:
            raise Unprocessable(
                f"The {what} {name} does not exist in the namespace {self._api.namespace}.",
                "Create it, or correct the entry.", reason=f"{kind.plural}_missing",
            ) from missing  # fmt: skip

    async def _check_nodes(self, container: Container) -> None:
        try:
            nodes, _ = await self._api.list_all(NODES)
        except Forbidden as forbidden:
            log.info("whether a node could hold it is not known: %s", forbidden.sentence)
            return
        if nodes and (why := capacity.why_none_fits(container, nodes)):
            raise Unprocessable(
                f"No node of the cluster could ever hold the model: {why}",
                "Ask for less in the entry's `resources`, correct its `nodeSelector`, or add a node.",
                reason="no_node_fits",
            )


def _named(manifest: Manifest, container: Container | None) -> set[tuple[Kind, str]]:
    """Secrets and ConfigMaps that the pod cannot start without."""
    predictor = manifest["spec"]["predictor"]
    found = {reference for item in predictor["model"].get("env", ()) for reference in _of_variable(item)}
    for volume in predictor.get("volumes", ()):
        for field, kind, key in (("secret", SECRETS, "secretName"), ("configMap", CONFIG_MAPS, "name")):
            source = mapping(volume.get(field))
            if source.get(key) and not source.get("optional"):
                found.add((kind, str(source[key])))
        claim = mapping(volume.get("persistentVolumeClaim")).get("claimName")
        if claim:
            found.add((CLAIMS, str(claim)))
    for variable in container.unresolved if container else ():
        how, _, name = variable.source.partition(" ")
        if how in _REFERENCES and not variable.optional:
            found.add((_REFERENCES[how], name.partition("/")[0]))
    return found


def _of_variable(item: Mapping[str, Any]) -> list[tuple[Kind, str]]:
    source = mapping(item.get("valueFrom"))
    return [
        (kind, str(source[how]["name"]))
        for how, kind in _REFERENCES.items()
        if mapping(source.get(how)).get("name") and not source[how].get("optional")
    ]
