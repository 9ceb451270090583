"""Every operation of the API, asked whatever its description allows and what it does not.

Nothing is answered with a failure of ours, with a status or a content type that is not described, or with a body
that is not as described. Exceptions are told at `is_no_failure_of_ours`.
"""

import hypothesis
import msgspec
import pytest
import schemathesis
from schemathesis import Case, CheckFunction, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    ignored_auth,
    negative_data_rejection,
    positive_data_acceptance,
    unsupported_method,
)

from model_manager import gateway
from model_manager.http.openapi import document
from model_manager.web import routes
from tests.fuzz.conftest import MODELS
from tests.house import House

DESCRIBED = document(routes(None), title="x", version="1", others=gateway.described())
DESCRIPTION = msgspec.json.decode(msgspec.json.encode(DESCRIBED))
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)

# The service runs in a thread of this process and uses `random` of its own, which Hypothesis takes for the test's.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module")

QUICK = hypothesis.settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)


EXCLUDED = [
    not_a_server_error,  # below: 501 is described
    ignored_auth,  # every route with every kind of token is a table of its own
    positive_data_acceptance,  # a schema does not know which cursors, ids and combinations there are
]


def is_harmless(case: Case) -> bool:
    """What no schema allows and no one minds: headers that nobody describes, and empty parameters."""
    return "x-schemathesis-unknown-property" in case.headers or "" in case.query.values()


KNOWN = {
    "model_id": MODELS,
    "slot": ("active-llm", "second"),
    "id": MODELS,
    "model": (*MODELS, "active-llm"),
    "name": ("demo",),
}
"""Names that lead to something: a fuzzer would not find them."""


def lead_somewhere(case: Case) -> None:
    """Most times, name what is there, where the case is to be a good one; and never wait longer than a moment."""
    if case.meta is not None and case.meta.generation.mode == GenerationMode.POSITIVE:
        for part in (case.path_parameters, case.body):
            for name in KNOWN.keys() & (part.keys() if isinstance(part, dict) else set()):
                if isinstance(given := part[name], str) and len(given) % 3:
                    part[name] = KNOWN[name][len(given) % len(KNOWN[name])]
    if isinstance(wait := case.query.get("wait"), int) and wait > 1:
        case.query["wait"] = 1


def exempt(case: Case) -> list[CheckFunction]:
    """Checks that do not apply to this one."""
    if case.operation.path == "/weights/{name}/info":  # to DELETE, `/weights/a/info` is the folder `a/info`
        return [unsupported_method]
    return [negative_data_rejection] if is_harmless(case) else []


@SCHEMA.parametrize()
@QUICK
def test_what_is_described_is_what_is_answered(case: Case, house: House) -> None:
    lead_somewhere(case)
    response = case.call_and_validate(
        base_url=house.service.url,
        headers={"authorization": f"Bearer {house.service.token}"},
        timeout=20,
        excluded_checks=[*EXCLUDED, *exempt(case)],
    )
    assert response.status_code < 500 or is_no_failure_of_ours(case, response.status_code), response.text


def is_no_failure_of_ours(case: Case, status: int) -> bool:
    """501 where a route is not offered; of the gateway what its slots are: empty, or on their way to a model."""
    if case.operation.path.startswith("/v1/"):
        return status == 503
    return status == 501 and case.operation.definition.raw.get("deprecated", False)
