"""Calls as data: what is asked, and what an answer becomes."""

import pytest
from msgspec import Struct

from model_manager.client.call import Call, patience
from model_manager.client.errors import ApiError


class Thing(Struct):
    name: str


THING = Call[Thing](
    method="GET", path=("things", "a/b c"), returns={200: Thing}, query={"n": 3, "all": True, "x": None}
)


def test_path_segments_are_quoted_and_what_is_not_given_is_left_out() -> None:
    assert THING.target == "/things/a%2Fb%20c?n=3&all=true"


def test_the_token_travels_in_one_header_only() -> None:
    assert THING.headers("s3cret")["authorization"] == "Bearer s3cret"
    assert "authorization" not in THING.headers(None)
    assert "s3cret" not in THING.target


def test_an_answer_is_decoded_to_its_type() -> None:
    assert THING.answer(200, b'{"name": "x", "from a newer service": 1}', "http://x") == Thing("x")


@pytest.mark.parametrize(
    ("status", "body", "sentence", "code"),
    [
        (
            404,
            b'{"detail": "No such thing.", "code": "not_found", "hint": "Look."}',
            "No such thing.",
            "not_found",
        ),
        (400, b'{"error": "the original\'s words"}', "the original's words", ""),
        (429, b'{"error": {"message": "Slow down.", "code": "rate"}}', "Slow down.", "rate"),
        (502, b"<html>Bad Gateway</html>", "http://x answered with status 502.", ""),
        (
            200,
            b"[1, 2]",
            "The answer of http://x is not understood: Expected `object`, got `array`.",
            "",
        ),
        (200, b"<html>login</html>", "What answers at http://x is not Model Manager.", ""),
        (200, b"\xff\xfe", "What answers at http://x is not Model Manager.", ""),
        (204, b"", "http://x answered with status 204.", ""),
    ],
)
def test_everything_else_is_an_api_error(status: int, body: bytes, sentence: str, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        THING.answer(status, body, "http://x")
    error = refused.value
    assert (error.sentence, error.problem_code, error.http_status) == (sentence, code, status)


def test_an_answer_to_a_refused_wish_may_have_a_form_of_its_own() -> None:
    call = Call[Thing](method="POST", path=("x",), returns={200: Thing, 400: Thing})
    assert call.answer(400, b'{"name": "x"}', "http://x") == Thing("x")
    with pytest.raises(ApiError, match="Not JSON"):
        call.answer(400, b'{"detail": "Not JSON."}', "http://x")


def test_a_call_that_waits_is_given_more_time_than_that() -> None:
    assert patience(THING, 5) == 5
    waiting = Call[Thing](method="GET", path=("x",), returns={}, query={"wait": 30})
    assert patience(waiting, 5) > 30
    assert patience(waiting, 60) == 60


def test_the_facts_of_a_refusal_may_be_named_like_anything() -> None:
    with pytest.raises(ApiError) as refused:
        THING.answer(
            409, b'{"detail": "No.", "data": {"hint": 1, "http_status": 2, "sentence": 3}}', "http://x"
        )
    assert refused.value.data == {"hint": 1, "http_status": 2, "sentence": 3}
