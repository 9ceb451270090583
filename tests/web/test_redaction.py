"""Secrets are taken out by what they are known as, look like or are called; ordinary text stays as it is."""

import time
from typing import Any

import pytest

from model_manager import logs
from model_manager.web.redaction import Redactor, redacted

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIcanary\ncanary==\n-----END RSA PRIVATE KEY-----"

SECRETS: tuple[tuple[str, str], ...] = (
    ("Authorization: Bearer canary-0123456789", "Authorization: [secret]"),
    ("sent bearer canary0123456789.x-y_z=", "sent [secret]"),
    ("basic Y2FuYXJ5OmNhbmFyeQ==", "[secret]"),
    ("token hf_canaryCANARY0123456789 was refused", "token [secret] was refused"),
    ("ghp_canary0123456789", "[secret]"),
    ("ghs_canary0123456789", "[secret]"),
    ("github_pat_11AA_canary0123456789", "[secret]"),
    ("glpat-canary_0123456789", "[secret]"),
    ("AKIACANARY0123456789", "[secret]"),
    ("sk-proj-canary0123456789", "[secret]"),
    ("xoxb-canary-0123456789", "[secret]"),
    ("eyJhbGciOiJIUzI1NiJ9.canaryCANARY.canary_canary", "[secret]"),
    ("cannot fetch https://user:canary@git.example/x.git", "cannot fetch https://[secret]@git.example/x.git"),
    ("https://canary@git.example", "https://[secret]@git.example"),
    ("GET /x?token=canary&page=2", "GET /x?token=[secret]&page=2"),
    ("password: canary", "password: [secret]"),
    ("DB_PASSWORD=canary next", "DB_PASSWORD=[secret] next"),
    ("passwd = 'can ary'", "passwd = [secret]"),
    ('{"api_key": "can ary", "n": 1}', '{"api_key": [secret], "n": 1}'),
    ('{"hubToken":"canary\\"canary"}', '{"hubToken":[secret]}'),
    ("AWS_SECRET_ACCESS_KEY=canary/canary+canary", "AWS_SECRET_ACCESS_KEY=[secret]"),
    ("--api-key canary --port 1", "--api-key [secret] --port 1"),
    ("--api-key=canary", "--api-key=[secret]"),
    ("https://user:pa@ss@canary@git.example/x", "https://[secret]@git.example/x"),
    ("https://user:pa/canary@git.example/x", "https://[secret]@git.example/x"),
    ('{"message": "{\\"token\\": \\"canary\\"}"}', '{"message": "{\\"token\\": [secret]}"}'),
    (
        "https://a.blob.core.windows.net/c?sv=1&sig=canary%2B&x=1",
        "https://a.blob.core.windows.net/c?sv=1&sig=[secret]&x=1",
    ),
    ("https://s3.example/x?X-Amz-Signature=canary", "https://s3.example/x?X-Amz-Signature=[secret]"),
    ("AccountKey=canary;EndpointSuffix=x", "AccountKey=[secret];EndpointSuffix=x"),
    ("Cookie: a=canary; b=canary", "Cookie: [secret]"),
    ("-H 'Authorization: Token canary' -v", "-H 'Authorization: [secret]' -v"),
    ("https://hooks.slack.com/services/T0/B0/canary", "https://hooks.slack.com/[secret]"),
    ("password := 'canary", "password := [secret]"),
    ("{'token': b'canary'}", "{'token': [secret]}"),
    ("-api-key canary", "-api-key [secret]"),
    ("sk_live_canary0123456789", "[secret]"),
    (f"before\n{PEM}\nafter", "before\n[secret]\nafter"),
    ("before\n-----BEGIN PRIVATE KEY-----\ncanary", "before\n[secret]"),
    ("canary\n-----END PRIVATE KEY-----\nafter", "[secret]\nafter"),
)


@pytest.mark.parametrize(("text", "expected"), SECRETS)
def test_what_looks_like_a_secret_or_is_called_one(text: str, expected: str) -> None:
    assert "canary" not in expected
    assert redacted(text) == expected


ORDINARY = (
    "activated qwen2.5-0.5b-instruct in 3.2 s: 117 tokens per second, max_tokens=16, prompt_tokens: 5",
    "the tokenizer: gpt2 was loaded; tokenization = fast",
    "GET https://huggingface.co/acme/model/resolve/main/model.gguf 200",
    "sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "risk-averse task-force desk-lamp basic tests",
    "user@example.org wrote models/demo.json:3:7",
    'model_manager_http_requests_total{method="GET",path="/tokens",status="200"} 2.0',
)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays(text: str) -> None:
    assert redacted(text) == text


def test_what_the_service_knows_as_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "_secrets", set())
    monkeypatch.setattr(logs, "_pattern", None)
    logs.register_secret("plain words that nobody would suspect")
    assert redacted("said: plain words that nobody would suspect!") == "said: [secret]!"


VALUES: tuple[tuple[Any, Any], ...] = (
    ({"env": [{"name": "MODE", "value": "canary"}]}, {"env": [{"name": "MODE", "value": "[secret]"}]}),
    ({"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}, None),
    ({"apiKey": "canary", "tokens": 3, "key": "k"}, {"apiKey": "[secret]", "tokens": 3, "key": "k"}),
    (
        {"password": "", "api-key-env": "ENGINE_API_KEY", "api_token_file": "/run/token", "secretName": "s"},
        None,
    ),
    ({"args": ["--api-key", "canary", "--port", "1"]}, {"args": ["--api-key", "[secret]", "--port", "1"]}),
    ({"logTail": ["a", *PEM.split("\n"), "b"]}, {"logTail": ["a", "[secret]", "b"]}),
    ([1, 2.5, None, True, ("x",)], [1, 2.5, None, True, ["x"]]),
    ({"ghp_canary0123456789": 1}, {"[secret]": 1}),
)


@pytest.mark.parametrize(("value", "expected"), VALUES)
def test_values_keep_their_shape(value: Any, expected: Any) -> None:
    assert Redactor().value(value) == (value if expected is None else expected)


def test_what_was_called_a_secret_once_is_none_elsewhere() -> None:
    redactor = Redactor()
    redactor.value(
        {"env": [{"name": "DB_PASSWORD", "value": "hunter2hunter2"}, {"name": "MODE", "value": "fast-mode"}]}
    )
    redactor.value(
        {"clientSecret": "another-word", "x": {"token": "short"}, "args": ["--hf-token", "third-word"]}
    )
    redactor.value({"password": 'say "friend"'})
    assert redactor.known('"say \\"friend\\"" and say "friend"') == '"[secret]" and [secret]'
    text = "hunter2hunter2 another-word short third-word fast-mode"
    assert redactor.known(text) == "[secret] [secret] short [secret] fast-mode"


@pytest.mark.parametrize(
    "piece",
    [
        *("a", "token", "://", '"', "-----BEGIN PRIVATE KEY-----", "--token ", "eyJ", "bearer "),
        *("-eyJ", "--token", "-" * 50 + "token", "://a:b/", 'token="\\', "token:    "),
    ],
)
def test_a_hostile_line_takes_no_minute(piece: str) -> None:
    begun = time.monotonic()
    redacted(piece * ((1 << 18) // len(piece)))
    assert time.monotonic() - begun < 5
