"""What API servers and webhooks were seen to answer, and the sentence that is made of it."""

import json
from typing import Any

import pytest

from model_manager.errors import (
    Conflict,
    Forbidden,
    NotFound,
    TooManyRequests,
    Unavailable,
    Unprocessable,
)
from model_manager.serving.kserve.kinds import INFERENCE_SERVICES, PODS, Kind
from model_manager.serving.kserve.refusals import (
    LONGEST_AWAY,
    AlreadyExists,
    AnotherOne,
    Gone,
    NoKind,
    StaleVersion,
    refusal,
)

DENIED = (
    'admission webhook "inferenceservice.kserve-webhook-server.validator" denied the request:'
    " the 'name' field is not allowed in standard predictor"
)
RBAC = (
    'secrets is forbidden: User "system:serviceaccount:models:model-manager" cannot list resource "secrets" in API'
    ' group "" in the namespace "models"'
)
UNKNOWN = (
    "failed to create typed patch object (models/active-llm; serving.kserve.io/v1beta1, Kind=InferenceService):"
    " .spec.predictor.bogus: field not declared in schema"
)


@pytest.mark.parametrize(
    ("status", "reason", "message", "details", "error", "said"),
    [
        (401, "Unauthorized", "Unauthorized", {}, Unavailable, "does not accept this service's credentials"),
        (403, "Forbidden", DENIED, {}, Unprocessable, "the 'name' field is not allowed in standard predictor."),
        (403, "Forbidden", RBAC, {}, Forbidden, "may not list secrets in the namespace models."),
        (403, "Forbidden", "pods: exceeded quota: gpus, requested: 1", {}, Conflict, "exceeded quota: gpus"),
        (403, "Forbidden", "unable to create new content in namespace a because it is being terminated", {},
         Conflict, "The namespace is being deleted"),
        (404, "NotFound", 'inferenceservices "a" not found', {"name": "a"}, NotFound, "There is no inferenceservices"),
        (409, "AlreadyExists", "exists", {}, AlreadyExists, "exists already"),
        (409, "Conflict", "the object has been modified", {}, StaleVersion, "was changed meanwhile"),
        (409, "Conflict", "Apply failed with 1 conflict",
         {"causes": [{"field": ".spec.predictor.model.args", "message": 'conflict with "argocd-controller"'}]},
         Conflict, "is managed by argocd-controller in .spec.predictor.model.args."),
        (410, "Expired", "too old resource version", {}, Gone, "does not remember"),
        (422, "Invalid", "Duplicate value", {}, Unprocessable, "Duplicate value."),
        (429, "TooManyRequests", "storage is (re)initializing", {"retryAfterSeconds": 3}, TooManyRequests, "is busy"),
        (500, "", UNKNOWN, {}, Unprocessable, ".spec.predictor.bogus: field not declared in schema."),
        (500, "InternalError", 'failed calling webhook "x": connection refused', {}, Unavailable, "does not answer"),
        (503, "ServiceUnavailable", "starting", {}, Unavailable, "answered 503: starting."),
        (409, "Conflict", "uid mismatch: the provided object specified uid 1, and no existing object was found",
         {}, AnotherOne, "active-llm is not the one that was meant: uid mismatch"),
        (409, "Conflict", "Precondition failed: UID in precondition: 1, UID in object meta: 2",
         {}, AnotherOne, "active-llm is not the one that was meant: Precondition failed"),
        (422, "Invalid", 'is invalid: metadata.uid: Invalid value: "2": field is immutable', {}, AnotherOne,
         "active-llm is not the one that was meant"),
    ],
)  # fmt: skip
def test_each_refusal_is_the_error_that_says_what_to_do(
    status: int, reason: str, message: str, details: dict[str, Any], error: type[Exception], said: str
) -> None:
    body = json.dumps({"kind": "Status", "reason": reason, "message": message, "details": details}).encode()
    found = refusal(status, body, None, "patch", INFERENCE_SERVICES, "active-llm")
    assert isinstance(found, error)
    assert said in found.sentence
    assert found.sentence.endswith(".")
    if details.get("retryAfterSeconds"):
        assert found.data["retry_after"] == 3


def test_a15_a_kind_that_is_not_installed_is_told_from_an_object_that_is_not_there() -> None:
    found = refusal(404, b"404 page not found\n", None, "list", INFERENCE_SERVICES, "")
    assert isinstance(found, NoKind)
    assert found.sentence == "The cluster has no inferenceservices.serving.kserve.io."
    assert "Install KServe" in found.hint


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"message": {"a": 1}, "details": []}'])
@pytest.mark.parametrize("status", [401, 403, 404, 409, 429, 500, 502])
def test_a18_bodies_of_any_kind_are_borne(status: int, body: bytes) -> None:
    assert refusal(status, body, "soon", "get", PODS, "a").sentence


def test_a_header_says_when_to_come_back() -> None:
    found = refusal(503, b"", "7", "get", Kind("", "v1", "pods"), "a")
    assert found.data["retry_after"] == 7


@pytest.mark.parametrize("asked", ["86400", "9" * 400])
def test_a_server_cannot_send_us_away_for_long(asked: str) -> None:
    told = refusal(503, b"", asked, "watch", PODS, "")
    assert told.data["retry_after"] == LONGEST_AWAY
