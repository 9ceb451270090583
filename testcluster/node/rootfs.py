"""What a container sees: its environment, and its volumes as folders of this machine.

There is no file system of its own, so paths below a mount are rewritten in arguments and environment. There is no
network of its own either: a server told to listen on 0.0.0.0 is told the pod's address instead.
"""

import base64
import os
import re
from collections.abc import Mapping
from pathlib import Path

from testcluster.api import Api, Object
from testcluster.node import account
from testcluster.node.images import entry_point

_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_.-]*)\)")


class CannotCreate(Exception):
    """CreateContainerConfigError, with the kubelet's message."""


class Rootfs:
    """Of one container of one pod at `ip`; `folder` is the pod's own, claims are folders below `volumes`."""

    def __init__(
        self, api: Api, pod: Object, container: Object, ip: str, folder: Path, volumes: Path
    ) -> None:
        self._api, self._pod, self._container, self._ip = api, pod, container, ip
        self._folder, self._volumes = folder, volumes
        self._mounts: dict[str, str] = {}

    async def command(self, commands: Path, hub: Path) -> tuple[list[str], dict[str, str]]:
        """Arguments and environment of the process. CannotCreate: something that it names is not there."""
        for mount in self._container.get("volumeMounts", []):
            self._mounts[mount["mountPath"].rstrip("/")] = str(await self._folder_of(mount))
        environment = {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "HOME": str(self._folder),
            "HOSTNAME": self._pod["metadata"]["name"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "TEST_HUB": str(hub),
            "MODEL_MANAGER_HOST": self._ip,  # it listens everywhere unless told otherwise
        }
        own: dict[str, str] = {}
        if account.MOUNTED_AT in self._mounts and self._pod["spec"].get("serviceAccountName") != "default":
            folder = Path(self._mounts[account.MOUNTED_AT])
            own[account.VARIABLE] = str(await account.lay(self._api, self._pod, folder))
        for variable in self._container.get("env", []):
            value = await self._value(variable, own)
            if value is not None:
                own[variable["name"]] = value
        said = [self._seen(word, own) for word in self._container.get("command", [])]
        argv = said or entry_point(self._container["image"]) or []
        return [
            *argv,
            *(self._seen(word, own) for word in self._container.get("args", [])),
        ], environment | own

    async def _folder_of(self, mount: Object) -> Path:
        volume = next(one for one in self._pod["spec"]["volumes"] if one["name"] == mount["name"])
        namespace = self._pod["metadata"]["namespace"]
        if claim := volume.get("persistentVolumeClaim"):
            base = self._volumes / namespace / claim["claimName"]
        else:
            base = self._folder / "volumes" / mount["name"]
            if "secret" in volume or "configMap" in volume or "projected" in volume:
                await self._lay(volume, base)
        path: Path = base / mount.get("subPath", "")
        if not path.exists() and mount.get("subPath") and mount.get("readOnly"):
            raise CannotCreate(
                f'failed to prepare subPath for volumeMount "{mount["name"]}" '
                f'of container "{self._container["name"]}"'
            )
        path.mkdir(parents=True, exist_ok=True)
        return path

    async def _lay(self, volume: Object, base: Path) -> None:
        """Secrets and ConfigMaps as files. A projected volume is a service account's: `account` fills it."""
        base.mkdir(parents=True, exist_ok=True)
        for kind, key in (("secret", "secretName"), ("configMap", "name")):
            if source := volume.get(kind):
                for name, value in (await self._data(kind, source[key], source.get("optional"))).items():
                    (base / name).write_text(value)
                    (base / name).chmod(source.get("defaultMode", 0o644))

    async def _value(self, variable: Object, own: Mapping[str, str]) -> str | None:
        source = variable.get("valueFrom", {})
        if field := source.get("fieldRef"):
            return self._field(field["fieldPath"])
        for kind in ("secret", "configMap"):
            if ref := source.get(f"{kind}KeyRef"):
                optional = ref.get("optional", False)
                data = await self._data(kind, ref["name"], optional)
                if ref["key"] not in data and not optional:
                    where = f"{self._pod['metadata']['namespace']}/{ref['name']}"
                    raise CannotCreate(f"couldn't find key {ref['key']} in {kind.capitalize()} {where}")
                return data.get(ref["key"])
        return self._seen(variable.get("value", ""), own)

    async def _data(self, kind: str, name: str, optional: bool | None) -> dict[str, str]:
        found = await self._api.find(f"{kind.lower()}s", name, self._pod["metadata"]["namespace"])
        if found is None:
            if optional:
                return {}
            raise CannotCreate(f'{kind.lower()} "{name}" not found')
        data = found.get("data") or {}
        return {k: base64.b64decode(v).decode() for k, v in data.items()} if kind == "secret" else data

    def _field(self, path: str) -> str:
        metadata = self._pod["metadata"]
        if match := re.fullmatch(r"metadata\.(labels|annotations)\['(.+)'\]", path):
            return str(metadata.get(match[1], {}).get(match[2], ""))
        fields: dict[str, str] = {
            "status.podIP": self._ip,
            "status.podIPs": self._ip,
            "status.hostIP": "127.0.0.1",
            "metadata.name": metadata["name"],
            "metadata.namespace": metadata["namespace"],
            "metadata.uid": metadata["uid"],
            "spec.nodeName": self._pod["spec"]["nodeName"],
            "spec.serviceAccountName": self._pod["spec"].get("serviceAccountName", "default"),
        }
        return fields[path]

    def _seen(self, text: str, own: Mapping[str, str]) -> str:
        """`text` with variables put in, and with this machine's paths and address."""
        text = _REFERENCE.sub(lambda match: own.get(match[1], match[0]), text)
        if self._mounts:  # in one pass: where a mount really is may look like another mount
            longest = sorted(self._mounts, key=len, reverse=True)
            mounted = rf"(?<![\w/.-])({'|'.join(map(re.escape, longest))})(?=$|[/\s,:;\"'])"
            text = re.sub(mounted, lambda match: self._mounts[match[1]], text)
        return re.sub(r"(?<![\d.])0\.0\.0\.0(?![\d.])", self._ip, text)
