"""What the image's SBOM is made of, and the locks it is built from. The image itself: `make test-image`."""

import json
import re
from email.message import Message
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import pytest
from tools import sbom

REQUIREMENTS = Path(__file__).parent.parent / "requirements"

STATUS = """\
Package: bsdutils
Status: install ok installed
Architecture: amd64
Source: util-linux (2.41.5-0+deb13u1)
Version: 1:2.41.5-0+deb13u1
Description: basic utilities
 Package: a line of the description

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 1

Package: libstdc++6
Status: install ok installed
Architecture: amd64
Source: gcc-14
Version: 14.2.0-19
"""


def installed(folder: Path, *fields: tuple[str, str]) -> Distribution:
    message = Message()
    for name, value in fields:
        message[name] = value
    folder.mkdir()
    (folder / "METADATA").write_text(str(message))
    return PathDistribution(folder)


def test_debian_packages_are_named_with_the_source_that_advisories_speak_of() -> None:
    assert [component["purl"] for component in sbom.debian(STATUS, "debian-13")] == [
        "pkg:deb/debian/bsdutils@1:2.41.5-0%2Bdeb13u1?arch=amd64&distro=debian-13&upstream=util-linux%402.41.5-0%2Bdeb13u1",
        "pkg:deb/debian/libstdc%2B%2B6@14.2.0-19?arch=amd64&distro=debian-13&upstream=gcc-14",
    ]


@pytest.mark.parametrize(
    "fields, licences",
    [
        ((("License-Expression", "MIT OR Apache-2.0"),), [{"expression": "MIT OR Apache-2.0"}]),
        ((("Classifier", "License :: OSI Approved :: MIT License"),), [{"license": {"name": "MIT License"}}]),
        ((("License", "a whole page of text"),), None),
    ],
    ids=["expression", "classifier", "free text"],
)
def test_a_python_distribution_has_the_licence_that_it_states(
    tmp_path: Path, fields: tuple[tuple[str, str], ...], licences: object
) -> None:
    named = (("Name", "Typing_Extensions"), ("Version", "4.16.0"), *fields)
    (component,) = sbom.python([installed(tmp_path / "t.dist-info", *named)])
    assert component["purl"] == "pkg:pypi/typing-extensions@4.16.0"
    assert component.get("licenses") == licences


def test_the_same_parts_in_any_order_are_the_same_document() -> None:
    one, two = sbom.debian(STATUS, "debian-13")
    document = sbom.bom("image", "1", 0, [two, one])
    assert document == sbom.bom("image", "1", 0, [one, two])
    assert document["serialNumber"] != sbom.bom("image", "2", 0, [one, two])["serialNumber"]
    assert json.loads(json.dumps(document))["metadata"]["timestamp"] == "1970-01-01T00:00:00+00:00"


def pins(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9.-]+==[^\s;]+)", (REQUIREMENTS / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ["image.txt", "image-engine.txt", "image-build.txt"])
def test_the_image_gets_the_versions_that_the_suite_ran_with(lock: str) -> None:
    assert pins(lock)
    assert pins(lock) <= pins("dev.txt")


def test_only_what_builds_the_wheel_is_left_out_of_the_image() -> None:
    assert pins("run.txt") <= pins("image.txt") | pins("image-engine.txt") | pins("image-build.txt")
    assert not {
        pin for pin in pins("image.txt") if pin.startswith(("hatchling", "editables", "pip", "xllamacpp"))
    }
