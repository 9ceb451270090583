"""The image is built once for the whole run; at its end, what it weighs."""

import faulthandler
from collections.abc import Iterator
from pathlib import Path

import pytest

import model_manager
from tests.image import building
from tests.image.building import ROOT, Builder, Image

LIMITS = {"full": 250, "slim": 150}
"""The greatest sizes, compressed, in megabytes."""

TAGS = {"full": model_manager.__version__, "slim": f"{model_manager.__version__}-slim"}

_sizes: dict[str, float] = {}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/image/"):
            item.add_marker(pytest.mark.image)
            item.add_marker(pytest.mark.timeout(1200))  # the first one waits for the build


def pytest_runtest_setup() -> None:
    """A build takes longer than `tests/conftest.py` lets a test hang; the timeout above ends one that does."""
    faulthandler.cancel_dump_traceback_later()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for target, size in _sizes.items():
        terminalreporter.write_line(f"{target}: {size:.1f} MB compressed (at most {LIMITS[target]})")


@pytest.fixture(scope="session")
def builder() -> Iterator[Builder]:
    if reason := building.missing():
        pytest.exit(reason, returncode=2)
    made = Builder()
    try:
        made.prepare()
        made.make("localhost/model-manager")
        yield made
    finally:
        made.remove()


@pytest.fixture(scope="session")
def images(builder: Builder) -> Iterator[dict[str, Image]]:
    name = "localhost/model-manager"
    with builder.opened(f"{name}:{TAGS['full']}") as full, builder.opened(f"{name}:{TAGS['slim']}") as slim:
        found = {"full": full, "slim": slim}
        _sizes.update({target: image.megabytes for target, image in found.items()})
        yield found


@pytest.fixture(params=["full", "slim"])
def target(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def image(images: dict[str, Image], target: str) -> Image:
    return images[target]


@pytest.fixture
def full(images: dict[str, Image]) -> Image:
    return images["full"]


@pytest.fixture
def slim(images: dict[str, Image]) -> Image:
    return images["slim"]


@pytest.fixture
def sbom(builder: Builder, target: str) -> Path:
    return ROOT / f"dist/model-manager-{TAGS[target]}.cdx.json"
