"""`serving/runtime` comes to the container that the real KServe made of the same two objects.

The pairs were recorded by `python -m tests.cluster.pairs`; tests/cluster/test_pairs.py makes them anew.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from model_manager.serving.runtime import Container, Mount, Probe, Unresolved, assemble

PAIRS = Path(__file__).parent / "recorded" / "pairs"
NAMES = sorted(file.stem for file in PAIRS.glob("*.json"))

Object = dict[str, Any]


@pytest.mark.parametrize("name", NAMES)
def test_the_same_container_as_kserve_makes(name: str) -> None:
    pair = json.loads((PAIRS / f"{name}.json").read_text())
    runtime = pair["runtime"]
    container = assemble(pair["manifest"], {runtime["metadata"]["name"]: runtime})
    found = of_pod(pair["pod"], container.storage_uri or "")
    # A pod is requested what it is limited to; that is not KServe's doing, and `capacity` knows it.
    found["resources"] = _serving(pair["deployment"]["template"]["spec"])["resources"]
    assert seen(container) == found
    assert pair["deployment"]["strategy"] == {"type": "Recreate"}


def test_each_rendered_manifest_has_its_pair() -> None:
    rendered = {file.stem for file in (Path(__file__).parents[1] / "golden").glob("*.json")}
    assert set(NAMES) >= rendered, "run `python -m tests.cluster.pairs`"


def seen(container: Container) -> Object:
    names = ("image", "command", "args", "working_dir", "ports", "unresolved", "readiness", "startup", "liveness",
             "resources")  # fmt: skip
    pod = {key: value for key, value in container.pod.items() if value and key != "volumes"}
    volumes = {volume["name"] for volume in container.pod.get("volumes", ())}
    mounts = {mount.path: mount for mount in container.mounts}
    return {name: getattr(container, name) for name in names} | {
        "env": dict(container.env), "mounts": mounts, "pod": pod, "volumes": volumes
    }  # fmt: skip


# What the pod says, in the words of `Container`


def of_pod(pod: Object, uri: str) -> Object:
    made = _serving(pod)
    env = _values(made)
    ports = {port.get("name", ""): port["containerPort"] for port in made.get("ports", ())}
    fields = ("nodeSelector", "affinity", "tolerations", "imagePullSecrets")
    return {
        "image": made["image"],
        "command": tuple(_expanded(word, env) for word in made.get("command", ())),
        "args": tuple(_expanded(word, env) for word in made.get("args", ())),
        "working_dir": made.get("workingDir"),
        "ports": tuple(port["containerPort"] for port in made.get("ports", ())) or (8080,),
        "unresolved": _unresolved(made),
        "readiness": _probe(made["readinessProbe"], ports),
        "startup": _probe(made.get("startupProbe"), ports),
        "liveness": _probe(made.get("livenessProbe"), ports),
        "env": env,
        "mounts": _mounts(made, uri),
        "pod": {key: _of_user(pod[key]) for key in fields if key in pod and _of_user(pod[key])},
        "volumes": {one["name"] for one in pod["volumes"] if not one["name"].startswith("kserve-")},
    }


def _serving(pod: Object) -> Object:
    return dict(next(one for one in pod["containers"] if one["name"] == "kserve-container"))


def _values(container: Object) -> dict[str, str]:
    """As the kubelet gives them: each sees those before it."""
    values: dict[str, str] = {}
    for item in container.get("env", ()):
        if "valueFrom" not in item:
            values[item["name"]] = _expanded(item.get("value", ""), values)
    return values


def _expanded(text: str, env: dict[str, str]) -> str:
    def one(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return env.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]+)\)", one, text)


def _unresolved(container: Object) -> tuple[Unresolved, ...]:
    found = [
        (item["name"], *next(iter(item["valueFrom"].items())))
        for item in container.get("env", ())
        if "valueFrom" in item
    ]
    found += [("envFrom", *next(iter(source.items()))) for source in container.get("envFrom", ())]
    return tuple(
        Unresolved(
            name,
            f"{kind} "
            + (source.get("fieldPath") or "/".join(source[k] for k in ("name", "key") if k in source)),
            bool(source.get("optional")),
        )
        for name, kind, source in found
    )


def _probe(probe: Object | None, ports: dict[str, int]) -> Probe | None:
    if probe is None:
        return None
    how = probe.get("httpGet") or probe["tcpSocket"]
    return Probe(
        path=how["path"] if "httpGet" in probe else None,
        port=ports.get(how["port"], how["port"]),
        period=probe["periodSeconds"],
        timeout=probe["timeoutSeconds"],
        failure_threshold=probe["failureThreshold"],
        initial_delay=probe.get("initialDelaySeconds", 0),
    )


def _mounts(container: Object, uri: str) -> dict[str, Mount]:
    """KServe's own volume of the weights stands for their URI; where in the claim they lie is its `subPath`."""
    found = {}
    for mount in container.get("volumeMounts", ()):
        weights = mount["name"].startswith("kserve-")
        if weights and uri.startswith("pvc://"):
            assert mount.get("subPath", "") == uri.removeprefix("pvc://").partition("/")[2]
        source = uri if weights else mount["name"]
        found[mount["mountPath"]] = Mount(mount["mountPath"], source, bool(mount.get("readOnly")))
    return found


def _of_user(value: Any) -> Any:
    """Without the tolerations that Kubernetes gives to every pod."""
    if not isinstance(value, list):
        return value
    own = (
        "node.kubernetes.io/not-ready",
        "node.kubernetes.io/unreachable",
        "node.kubernetes.io/memory-pressure",
    )
    return [item for item in value if item.get("key") not in own]
