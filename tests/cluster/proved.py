"""What a run proved, in words: the names of its tests are sentences."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

PINS = Path(__file__).parents[2] / "testcluster"
MODULES = {
    "Kubernetes": ("core", "k8s.io/kubernetes"),
    "KServe": ("core", "github.com/kserve/kserve"),
    "Knative": ("knative", "knative.dev/serving"),
}


class Claim(NamedTuple):
    """`about`: what its file is about; `case`: which row of a table; `held`: whether it was seen to be so."""

    about: str
    sentence: str
    case: str
    held: bool


def words_of(item: pytest.Item) -> tuple[str, str, str]:
    """About, sentence and case of a test."""
    assert isinstance(item, pytest.Function)
    about = (item.module.__doc__ or item.module.__name__).splitlines()[0].rstrip(".")
    callspec = getattr(item, "callspec", None)
    return about, item.originalname.removeprefix("test_").replace("_", " "), callspec.id if callspec else ""


def told(claims: Iterable[Claim]) -> Iterator[str]:
    """Lines to print: files that ran side by side one after the other, each sentence once, with its cases."""
    cases: dict[str, dict[str, list[Claim]]] = {}
    for claim in claims:
        cases.setdefault(claim.about, {}).setdefault(claim.sentence, []).append(claim)
    for about, sentences in cases.items():
        yield f"{about}:"
        for sentence, found in sentences.items():
            for held, word in ((True, "proved"), (False, "NOT PROVED")):
                if names := [claim.case for claim in found if claim.held is held]:
                    rows = ", ".join(filter(None, names))
                    yield f"  {word}: {sentence}{f' ({rows})' if rows else ''}"


def stood_on() -> str:
    """`Kubernetes v1.34.4, KServe …`: what the claims were tried on, as the modules pin it."""
    return ", ".join(f"{name} {_pinned(*where)}" for name, where in MODULES.items())


def _pinned(module: str, path: str) -> str:
    found = re.search(
        rf"^\s*(?:require )?{re.escape(path)} (v\S+)", (PINS / module / "go.mod").read_text(), re.M
    )
    assert found, f"testcluster/{module}/go.mod does not pin {path}"
    return found[1]
