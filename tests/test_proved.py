"""The words in which a run of the cluster's tests tells what it proved."""

import pytest

from tests.cluster.proved import Claim, stood_on, told, words_of


def test_a_sentence_is_told_once_with_its_cases() -> None:
    claims = [
        Claim("Switches", "a switch is restored", "crash", True),
        Claim("Switches", "a switch is restored", "oom", True),
        Claim("Switches", "nothing is left", "", True),
    ]
    assert list(told(claims)) == [
        "Switches:",
        "  proved: a switch is restored (crash, oom)",
        "  proved: nothing is left",
    ]


def test_files_that_ran_side_by_side_are_told_one_after_the_other() -> None:
    claims = [
        Claim(about, sentence, "", True) for sentence in ("one", "two") for about in ("Switches", "Why")
    ]
    lines = ["Switches:", "  proved: one", "  proved: two", "Why:", "  proved: one", "  proved: two"]
    assert list(told(claims)) == lines


def test_what_did_not_hold_is_told_beside_what_did() -> None:
    claims = [Claim("Switches", "a switch is restored", case, case == "oom") for case in ("crash", "oom")]
    assert list(told(claims)) == [
        "Switches:",
        "  proved: a switch is restored (oom)",
        "  NOT PROVED: a switch is restored (crash)",
    ]


def test_the_name_of_a_test_is_its_sentence(request: pytest.FixtureRequest) -> None:
    about = "The words in which a run of the cluster's tests tells what it proved"
    assert words_of(request.node) == (about, "the name of a test is its sentence", "")


def test_the_versions_are_those_that_are_built() -> None:
    assert stood_on().startswith("Kubernetes v1.")
    assert ", KServe v" in stood_on()
    assert ", Knative v" in stood_on()
