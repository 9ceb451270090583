"""The Hub -> a plan: one commit, honest hashes, sentences for every refusal."""

import hashlib

import pytest

from model_manager.catalog.entry import SourceFile
from model_manager.errors import Forbidden, InvalidRequest, NotFound, Unprocessable, UpstreamError
from model_manager.weights.hub import plan_hub
from model_manager.weights.uri import HubSource
from tests.hub.fake import FakeHub, Request, blob_sha1
from tests.weights.fakes import MODEL

SOURCE = HubSource("org/model")


def test_a_plan_has_one_commit_and_the_hash_of_every_file(hub: FakeHub) -> None:
    sha = hub.commit("org/model", MODEL)
    plan = plan_hub(SOURCE, (), endpoint=hub.url)
    assert plan.revision == sha and plan.source == {"uri": "hf://org/model", "endpoint": hub.url}
    files = {file.path: file for file in plan.files}
    assert files.keys() == MODEL.keys()
    assert files["model.safetensors"].sha256 == hashlib.sha256(MODEL["model.safetensors"]).hexdigest()
    assert files["model.safetensors"].git_sha1 is None
    assert files["config.json"].git_sha1 == blob_sha1(MODEL["config.json"])
    assert all(f"/resolve/{sha}/" in str(file.url) for file in plan.files)
    assert plan.size == sum(map(len, MODEL.values()))


def test_a_long_listing_is_read_page_by_page(hub: FakeHub) -> None:
    hub.page = 2
    hub.commit("org/model", {f"file{number}.json": b"x" for number in range(7)})
    assert len(plan_hub(SOURCE, (), endpoint=hub.url).files) == 7


def test_d11_the_branch_moves_between_commit_and_listing(hub: FakeHub) -> None:
    first = hub.commit("org/model", MODEL)

    def move(request: Request) -> None:
        if "/tree/" in request.path:
            hub.commit("org/model", {"new.json": b"{}"})

    hub.on_request = move
    plan = plan_hub(SOURCE, (), endpoint=hub.url)
    assert plan.revision == first and {file.path for file in plan.files} == MODEL.keys()


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        (("*Q4_K_M*",), {"m-Q4_K_M.gguf"}),
        (("*.gguf",), {"m-Q4_K_M.gguf", "m-Q8_0.gguf", "sub/m.gguf"}),
        (("sub/",), {"sub/m.gguf"}),
        (("config.json", "*Q8*"), {"config.json", "m-Q8_0.gguf"}),
        ((), {"config.json", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "sub/m.gguf"}),
    ],
)
def test_globs_choose_files(hub: FakeHub, patterns: tuple[str, ...], left: set[str]) -> None:
    names = ("config.json", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "sub/m.gguf")
    hub.commit("org/model", {name: name.encode() for name in names})
    assert {file.path for file in plan_hub(SOURCE, patterns, endpoint=hub.url).files} == left


def test_globs_that_match_nothing_say_what_is_there(hub: FakeHub) -> None:
    hub.commit("org/model", {"a.gguf": b"x"})
    with pytest.raises(Unprocessable, match=r"no file that matches '\*Q5\*'") as caught:
        plan_hub(SOURCE, ("*Q5*",), endpoint=hub.url)
    assert "a.gguf" in caught.value.hint


@pytest.mark.parametrize(
    "path", ["../x.json", "/abs.json", "a\\b", "-rf", "a/../../b", "x" * 300, "nul\0.json"]
)
def test_d22_hostile_names_of_the_hub_are_refused(hub: FakeHub, path: str) -> None:
    hub.commit("org/model", {"config.json": b"{}", path: b"x"})
    with pytest.raises(InvalidRequest):
        plan_hub(SOURCE, (), endpoint=hub.url)


def test_d13_a_missing_part_is_refused_before_a_byte(hub: FakeHub) -> None:
    hub.commit("org/model", {"m-00001-of-00002.safetensors": b"x"})
    with pytest.raises(Unprocessable, match=r"lacks 'm-00002-of-00002\.safetensors'"):
        plan_hub(SOURCE, (), endpoint=hub.url)
    assert not hub.seen("hub", "/resolve/")


def test_pins_of_an_entry_must_agree_with_the_hub(hub: FakeHub) -> None:
    hub.commit("org/model", MODEL)
    right = SourceFile(
        path="model.safetensors", sha256=hashlib.sha256(MODEL["model.safetensors"]).hexdigest()
    )
    plan = plan_hub(HubSource("org/model", pins=(right,)), (), endpoint=hub.url)
    assert [file.path for file in plan.files] == ["model.safetensors"]
    for pin in (
        SourceFile(path="model.safetensors", sha256="0" * 64),
        SourceFile(path="model.safetensors", size=1),
        SourceFile(path="absent"),
    ):
        with pytest.raises(Unprocessable):
            plan_hub(HubSource("org/model", pins=(pin,)), (), endpoint=hub.url)


def test_d12_gated_absent_and_hidden_are_terminal_sentences_without_token(hub: FakeHub) -> None:
    hub.commit("org/gated", MODEL)
    hub.commit("org/private", MODEL)
    hub.repos["org/gated"].gated = hub.repos["org/private"].private = True
    cases = [
        ("org/gated", None, None, Forbidden, "gated"),
        ("org/gated", None, "hf_bad_token", Forbidden, "gated"),
        ("org/private", None, "hf_bad_token", NotFound, "no repository"),
        ("org/absent", None, None, NotFound, "no repository"),
        ("org/gated", "v9", "hf_good", NotFound, "no revision 'v9'"),
    ]
    for repo, revision, token, kind, words in cases:
        hub.requests.clear()
        with pytest.raises(kind, match=words) as caught:
            plan_hub(HubSource(repo, revision), (), endpoint=hub.url, token=token)
        assert caught.value.data["retryable"] is False
        assert "hf_" not in caught.value.sentence + caught.value.hint
        assert len(hub.requests) <= 2, "no storm of retries"
    assert plan_hub(HubSource("org/gated"), (), endpoint=hub.url, token="hf_good").files


def test_a_hub_that_is_not_there_is_a_sentence() -> None:
    with FakeHub() as hub:
        url = hub.url
    with pytest.raises(UpstreamError, match="could not be asked about org/model"):
        plan_hub(SOURCE, (), endpoint=url)


def test_plain_http_is_for_this_machine_only() -> None:
    with pytest.raises(Unprocessable, match="over http"):
        plan_hub(SOURCE, (), endpoint="http://hub.example.org")
