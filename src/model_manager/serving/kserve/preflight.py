"""What can be known before the old model is stopped: whether the new one can ever start on this cluster.

What may not be read is unknown, and does not stop anyone; the log names the right that is missing. The names of the
findings are those of the original's checks, where it had them.
"""

import logging
from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, structs

from model_manager.errors import Forbidden, NotFound, Unprocessable
from model_manager.serving.findings import Finding, Status, of_error
from model_manager.serving.kserve import capacity
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.causes import RUNTIME
from model_manager.serving.kserve.kinds import (
    CLAIMS,
    CLUSTER_RUNTIMES,
    CONFIG_MAPS,
    NODES,
    RUNTIMES,
    SECRETS,
    Kind,
    Object,
    items,
    mapping,
    name_of,
)
from model_manager.serving.kserve.lookup import Lookup
from model_manager.serving.kserve.pods import CONTAINER
from model_manager.serving.kserve.refusals import NoKind
from model_manager.serving.manifest import HUB_TOKEN, SECRET_ANNOTATIONS
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
_WORDS = {
    CLAIMS: ("claim", "volume claim"),
    SECRETS: ("secret", "secret"),
    CONFIG_MAPS: ("configmap", "ConfigMap"),
}
"""What a kind is called in the names of findings, and in sentences."""
_MISSING = {CLAIMS: "claim_missing", SECRETS: "secret_missing", CONFIG_MAPS: "config_map_missing"}


class Preflight:
    """`claim` is the one that this service installs weights to; `weights_there` looks for a folder on it."""

    def __init__(
        self, api: Api, claim: str = "", weights_there: Callable[[str], bool] = lambda folder: True
    ) -> None:
        self._api, self.claim, self._weights_there = api, claim, weights_there

    async def check(self, manifest: Manifest) -> None:
        """Raises Unprocessable with the first reason why it can never start."""
        for finding in await self.look(manifest):
            if finding.status == "fail":
                cause = {"cause": finding.code} if finding.code else {}
                raise Unprocessable(finding.sentence, finding.hint, check=finding.name, **cause)
            if finding.status == "unknown":
                log.info("%s: not known before the start: %s", finding.name, finding.sentence)

    async def look(self, manifest: Manifest, lookup: Lookup | None = None) -> list[Finding]:
        """All that can be known; raises what keeps everything from being known (no answer, no KServe)."""
        lookup = lookup or Lookup(self._api)
        runtime, container = await self._runtime(manifest, lookup)
        findings = [self._host_name(manifest["metadata"]["name"]), runtime]
        findings += await self._weights(manifest, lookup)
        named = sorted(_named(manifest, container).items(), key=lambda pair: (pair[0][0].plural, pair[0][1]))
        findings += [await self._existence(kind, name, lookup, need) for (kind, name), need in named]
        if container is not None:
            findings.append(await self._nodes(container, lookup))
        return findings

    def _host_name(self, name: str) -> Finding:
        """KServe makes a label of a host name of both names; one that is too long it tries to make for ever."""
        if len(host := f"{name}-predictor-{self._api.namespace}") <= LONGEST_LABEL:
            return Finding("host-name", "ok", "KServe can make a host name of the slot and its namespace.")
        return Finding(
            "host-name", "fail",
            f"KServe can make no host name of the slot and its namespace: {host} has {len(host)} characters.",
            f"At most {LONGEST_LABEL} are allowed: shorten the name of the slot or of the namespace.",
            code="name_too_long",
        )  # fmt: skip

    async def _runtime(self, manifest: Manifest, lookup: Lookup) -> tuple[Finding, Container | None]:
        """The container as KServe will make it; None where the runtime may not be read, or cannot serve this."""
        name = manifest["spec"]["predictor"]["model"].get("runtime", "")
        try:
            there = await self._found(name, lookup)
            container = assemble(manifest, there)
        except Unprocessable as refused:
            command, row = "kubectl get servingruntimes -A", RUNTIME.get(str(refused.data.get("reason")))
            return structs.replace(of_error("runtime", refused, command), code=row.code if row else ""), None
        except Forbidden as forbidden:
            return of_error("runtime", forbidden), None
        if unnamed := _unnamed_ports(there[name]):
            return Finding(
                "runtime", "fail",
                f"KServe can make no Service of the serving runtime {name}: its ports {unnamed} have no name.",
                "Of several ports, each after the first needs a `name` in the runtime.",
                f"kubectl -n {self._api.namespace} get servingruntime {name} -o yaml", "runtime_unfit",
            ), None  # fmt: skip
        return Finding("runtime", "ok", f"The serving runtime {name} is there."), container

    async def _found(self, name: str, lookup: Lookup) -> Mapping[str, Object]:
        """The runtime as KServe finds it; where there is none, those that there are."""
        for kind in (RUNTIMES, CLUSTER_RUNTIMES):
            try:
                return {name: await lookup.get(kind, name)}
            except NoKind:
                if kind is RUNTIMES:
                    raise
            except NotFound:
                continue
        return await self._runtimes(lookup)

    async def _runtimes(self, lookup: Lookup) -> Mapping[str, Object]:
        known: dict[str, Object] = {}
        for kind in (CLUSTER_RUNTIMES, RUNTIMES):
            try:
                known |= {name_of(item): item for item in await lookup.list_all(kind)}
            except (Forbidden, NotFound) as error:
                log.info("not all runtimes can be listed: %s", error.sentence)
        return known

    async def _weights(self, manifest: Manifest, lookup: Lookup) -> list[Finding]:
        uri = str(manifest["spec"]["predictor"]["model"].get("storageUri", ""))
        if not uri.startswith("pvc://"):
            return await self._hub_token(manifest, lookup)
        claim, _, folder = uri.removeprefix("pvc://").partition("/")
        findings = [await self.bound(claim, lookup, "storage")]
        if claim == self.claim and folder and not self._weights_there(folder):
            findings.append(Finding(
                "local-cache", "fail", f"The weights are not there: the claim {claim} has no folder {folder}.",
                "Install the model's weights, or correct the entry's `storageUri`.", code="weights_missing",
            ))  # fmt: skip
        return findings

    async def _hub_token(self, manifest: Manifest, lookup: Lookup) -> list[Finding]:
        """KServe's initializer passes over a Secret without that key, and refuses the pod where there is none."""
        secret = (manifest["metadata"].get("annotations") or {}).get(SECRET_ANNOTATIONS[0])
        if not secret:
            return []
        existence, there = await self._read(SECRETS, str(secret), lookup)
        if existence.status != "ok" or HUB_TOKEN in mapping(there.get("data")):
            return [existence]
        hint = "KServe's storage initializer needs it: add it, or name another one in MODEL_MANAGER_HUB_TOKEN_SECRET."
        return [structs.replace(self._without(SECRETS, str(secret), [HUB_TOKEN]), hint=hint)]

    async def bound(self, claim: str, lookup: Lookup, name: str) -> Finding:
        """Whether a claim is there and has its volume."""
        existence, there = await self._read(CLAIMS, claim, lookup)
        phase = mapping(there.get("status")).get("phase")
        if existence.status != "ok":
            return structs.replace(existence, name=name)
        if phase in (None, "Bound"):
            return Finding(name, "ok", f"The volume claim {claim} is bound to a volume.")
        describe = f"kubectl -n {self._api.namespace} describe pvc {claim}"
        said = f"The volume claim {claim} is not bound to a volume; it is {phase}."
        return Finding(name, "fail", said, f"See `{describe}`.", describe, "claim_unbound")

    async def _existence(self, kind: Kind, name: str, lookup: Lookup, need: "Need") -> Finding:
        """Whether it is there, with the keys that are named of it."""
        finding, there = await self._read(kind, name, lookup)
        required = need.required
        if finding.status == "ok":
            known = {**mapping(there.get("data")), **mapping(there.get("binaryData"))}
            missing = {key: vital for key, vital in need.keys.items() if key not in known}
            required = any(missing.values())
            if missing:
                finding = self._without(kind, name, [key for key in missing if missing[key] is required])
        if finding.status == "fail" and not required:
            return Finding(finding.name, "warn", f"{finding.sentence} The model starts without it.")
        return finding

    def _without(self, kind: Kind, name: str, keys: list[str]) -> Finding:
        short, word = _WORDS[kind]
        keyed = f"key {keys[0]}" if len(keys) == 1 else f"keys {', '.join(keys)}"
        said = f"The {word} {name} in the namespace {self._api.namespace} has no {keyed}."
        look = f"kubectl -n {self._api.namespace} describe {short} {name}"
        return Finding(
            f"{short}:{name}", "fail", said, "Add it, or correct the entry's `env`.", look, "key_missing"
        )

    async def _read(self, kind: Kind, name: str, lookup: Lookup) -> tuple[Finding, Object]:
        """What there is to say of an object, and the object: empty where there is none, or it may not be read."""
        short, word = _WORDS[kind]
        try:
            there = await lookup.get(kind, name)
        except Forbidden as forbidden:
            return of_error(f"{short}:{name}", forbidden), {}
        except NotFound:
            said = f"The {word} {name} does not exist in the namespace {self._api.namespace}."
            look = f"kubectl -n {self._api.namespace} get {kind.plural}"
            return Finding(
                f"{short}:{name}", "fail", said, "Create it, or correct the entry.", look, _MISSING[kind]
            ), {}
        return Finding(f"{short}:{name}", "ok", f"The {word} {name} is there."), there

    async def _nodes(self, container: Container, lookup: Lookup) -> Finding:
        try:
            nodes = await lookup.list_all(NODES)
        except Forbidden as forbidden:
            return of_error("gpu-capacity", forbidden)
        if not nodes or not (why := capacity.why_none_fits(container, nodes)):
            status: Status = "ok" if nodes else "unknown"
            said = "A node of the cluster could hold it." if nodes else "The cluster has no nodes to be seen."
            return Finding("gpu-capacity", status, said)
        return Finding(
            "gpu-capacity", "fail", f"No node of the cluster could ever hold the model: {why}",
            "Ask for less in the entry's `resources`, correct its `nodeSelector`, or add a node.",
            "kubectl describe nodes", "no_node",
        )  # fmt: skip


class Need(Struct):
    """What a pod asks of a named object. `required`: it cannot start without; `keys`, each with the same of itself."""

    required: bool
    keys: dict[str, bool]


def _unnamed_ports(runtime: Object) -> str:
    """Numbers of those that KServe would hand to its Service without a name; the first it calls `http` itself."""
    for container in items(mapping(runtime.get("spec")).get("containers")):
        if container.get("name") == CONTAINER:
            later = items(container.get("ports"))[1:]
            return ", ".join(str(port.get("containerPort")) for port in later if not port.get("name"))
    return ""


def _named(manifest: Manifest, container: Container | None) -> dict[tuple[Kind, str], Need]:
    """Secrets, ConfigMaps and further claims that it names."""
    predictor = manifest["spec"]["predictor"]
    named = [reference for item in predictor["model"].get("env", ()) for reference in _of_variable(item)]
    for volume in predictor.get("volumes", ()):
        for field, kind, key in (
            ("secret", SECRETS, "secretName"), ("configMap", CONFIG_MAPS, "name"),
            ("persistentVolumeClaim", CLAIMS, "claimName"),
        ):  # fmt: skip
            source = mapping(volume.get(field))
            if source.get(key):
                named.append((kind, str(source[key]), "", not source.get("optional")))
    for variable in container.unresolved if container else ():
        how, _, name = variable.source.partition(" ")
        if how in _REFERENCES:
            name, _, key = name.partition("/")
            named.append((_REFERENCES[how], name, key, not variable.optional))
    needs: dict[tuple[Kind, str], Need] = {}
    for kind, name, key, vital in named:
        need = needs.setdefault((kind, name), Need(False, {}))
        need.required |= vital
        if key:
            need.keys[key] = need.keys.get(key, False) or vital
    return needs


def _of_variable(item: Mapping[str, Any]) -> list[tuple[Kind, str, str, bool]]:
    source = mapping(item.get("valueFrom"))
    return [
        (kind, str(source[how]["name"]), str(source[how].get("key") or ""), not source[how].get("optional"))
        for how, kind in _REFERENCES.items()
        if mapping(source.get(how)).get("name")
    ]
