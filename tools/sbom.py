"""What an image is made of, as CycloneDX 1.6: `python3 -I - NAME VERSION EPOCH < tools/sbom.py`, run inside the image.

It reads what Debian's and Python's installers recorded, so it needs nothing but this file and the standard library.
What wheels carry inside (llama.cpp in xllamacpp) is known by the wheel's name and version alone. The same image gives
the same bytes; `EPOCH` is its time in seconds since 1970. Names of packages: https://github.com/package-url/purl-spec.
"""

import json
import re
import sys
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

Component = dict[str, Any]


def debian(status: str, distribution: str) -> Iterator[Component]:
    """A component for each installed package of dpkg's status file; `distribution` such as `debian-13`."""
    for paragraph in status.strip().split("\n\n"):
        fields = dict(re.findall(r"^([A-Z][A-Za-z-]*): (.*)$", paragraph, re.MULTILINE))
        if fields["Status"].split()[2] == "installed":
            name, version = fields["Package"], fields["Version"]
            where = f"arch={fields['Architecture']}&distro={distribution}{_upstream(fields)}"
            purl = f"pkg:deb/debian/{_part(name)}@{_part(version)}?{where}"
            yield {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def _upstream(fields: dict[str, str]) -> str:
    """Advisories name source packages. `Source: glibc (2.41-1)` has a version only where it is another one."""
    if "Source" not in fields:
        return ""
    name, _, version = fields["Source"].partition(" ")
    return f"&upstream={_part('@'.join(filter(None, (name, version.strip('()')))))}"


def python(distributions: Iterable[metadata.Distribution]) -> Iterator[Component]:
    """A component for each installed Python distribution."""
    for distribution in distributions:
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"]).lower()
        purl = f"pkg:pypi/{_part(name)}@{_part(distribution.version)}"
        found = {"type": "library", "bom-ref": purl, "name": name, "version": distribution.version}
        if licence := _licence(distribution.metadata):
            found["licenses"] = licence
        yield {**found, "purl": purl}


def _licence(fields: metadata.PackageMetadata) -> list[dict[str, Any]]:
    """Only what is said in a form that holds: an SPDX expression, or classifiers."""
    if expression := fields.get("License-Expression"):
        return [{"expression": expression}]
    classifiers = fields.get_all("Classifier") or ()
    named = [text.rpartition(" :: ")[2] for text in classifiers if text.startswith("License :: ")]
    return [{"license": {"name": name}} for name in named]


def bom(name: str, version: str, epoch: int, components: Iterable[Component]) -> dict[str, Any]:
    """The document: sorted, and with a serial number made of what it says."""
    found = sorted(components, key=lambda component: str(component["bom-ref"]))
    content = json.dumps([name, version, epoch, found])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_OID, content).urn,
        "version": 1,
        "metadata": {
            "timestamp": datetime.fromtimestamp(epoch, UTC).isoformat(),
            "component": {"type": "container", "bom-ref": name, "name": name, "version": version},
        },
        "components": found,
    }


def _part(text: str) -> str:
    return quote(text, safe=":")


def main(name: str, version: str, epoch: str) -> None:
    system = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', Path("/etc/os-release").read_text(), re.MULTILINE))
    packages = debian(Path("/var/lib/dpkg/status").read_text(), f"{system['ID']}-{system['VERSION_ID']}")
    components = [*packages, *python(metadata.distributions())]
    json.dump(bom(name, version, int(epoch), components), sys.stdout, indent=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
