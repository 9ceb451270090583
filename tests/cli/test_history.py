"""What happened, in a line each."""

from typing import Any

import pytest

from tests.cli.conftest import Run
from tests.cli.service import Service

FACTS: list[tuple[dict[str, Any] | None, str]] = [
    (None, "-"),
    (
        {"jobId": "j1", "attempts": 0, "by": None, "hint": "", "changed": [], "more": {}},
        "jobId=j1 attempts=0",
    ),
    ({"revision": "0123456789abcdef" * 2 + "01234567"}, "revision=0123456789ab"),
    ({"revision": "sha256:" + "0123456789abcdef" * 4}, "revision=sha256:0123456789ab"),
    ({"changed": ["a", "b"]}, "changed=a,b"),
    (
        {"error": {"code": "no_space", "sentence": "The disk is full.", "hint": "x"}},
        'error="The disk is full."',
    ),
    ({"result": {"name": "demo", "unchanged": True, "files": {}}}, "result.name=demo result.unchanged=yes"),
    ({"message": "x" * 200}, "message=" + "x" * 111 + "…"),
]


@pytest.mark.parametrize(("facts", "said"), FACTS, ids=[said[:20] for _, said in FACTS])
def test_the_facts_of_an_event_are_words(
    run: Run, service: Service, facts: dict[str, Any] | None, said: str
) -> None:
    event = {"createdAt": "t", "event": "e", "subject": "s", "actor": "a", "metadata": facts}
    service.on("GET", "/history", {"events": [event]})
    assert run("history").out.splitlines()[1].split(maxsplit=4)[4] == said
