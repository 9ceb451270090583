"""OpenAI's and Anthropic's own Python libraries, unchanged, against a whole service with real models."""

import gc
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.gateway.living import Living, living
from tests.waiting import until, until_sync

pytestmark = pytest.mark.xdist_group("sdks")  # one worker: what its tests share is started once

HI: Any = [{"role": "user", "content": "What is a slot?"}]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Living]:
    with living(tmp_path_factory.mktemp("sdks")) as service:
        yield service


@pytest.fixture
def ai(service: Living) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=service.token, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(service: Living) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=service.url, api_key=service.token, max_retries=0) as client:
        yield client


# ── OpenAI ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["active-llm", "demo", "acme/demo", "gpt-4o-mini"])
def test_openai_chat_by_every_name(ai: openai.OpenAI, name: str) -> None:
    answer = ai.chat.completions.create(model=name, messages=HI, max_tokens=8)
    assert answer.model == "acme/demo"
    assert answer.choices[0].message.content
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 8


def test_openai_chat_streamed(ai: openai.OpenAI) -> None:
    whole = ai.chat.completions.create(model="demo", messages=HI, temperature=0)
    stream = ai.chat.completions.create(
        model="demo", messages=HI, temperature=0, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage or chunks[-1].usage is not None


def test_openai_completions(ai: openai.OpenAI) -> None:
    assert ai.completions.create(model="demo", prompt="A slot is", max_tokens=4).choices[0].text
    streamed = ai.completions.create(model="demo", prompt="A slot is", max_tokens=4, stream=True)
    assert [chunk.choices[0].text for chunk in streamed]


def test_openai_embeddings(ai: openai.OpenAI) -> None:
    """The library asks for base64 unless told otherwise."""
    vectors = ai.embeddings.create(model="embedder", input=["a slot", "a slot", "the sea"]).data
    assert [len(one.embedding) for one in vectors] == [len(vectors[0].embedding)] * 3
    assert vectors[0].embedding == pytest.approx(vectors[1].embedding)
    assert vectors[0].embedding != pytest.approx(vectors[2].embedding)


def test_openai_responses(ai: openai.OpenAI) -> None:
    assert ai.responses.create(model="demo", input="What is a slot?", max_output_tokens=8).output_text
    events = list(
        ai.responses.create(model="demo", input="What is a slot?", max_output_tokens=8, stream=True)
    )
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    counted = ai.responses.input_tokens.count(model="demo", input="What is a slot?")
    assert counted.input_tokens > 0


def test_openai_models(ai: openai.OpenAI) -> None:
    names = [model.id for model in ai.models.list()]
    assert {*names} == {
        "active-llm", "demo", "acme/demo", "gpt-4o-mini", "vectors", "embedder", "acme/embedder", "slow",
    }  # fmt: skip
    one = ai.models.retrieve("acme/demo")
    assert (one.id, one.owned_by) == ("acme/demo", "model-manager")
    with pytest.raises(openai.NotFoundError, match="not served now"):
        ai.models.retrieve("gpt-5")


def test_openai_errors(ai: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match="Active now: demo, embedder, slow") as caught:
        ai.chat.completions.create(model="gpt-5", messages=HI)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.AuthenticationError, match="token"):
        ai.with_options(api_key="wrong").chat.completions.create(model="demo", messages=HI)
    with pytest.raises(openai.BadRequestError):  # the engine's own answer
        ai.chat.completions.create(model="demo", messages="no list")  # type: ignore[call-overload]
    with pytest.raises(openai.NotFoundError, match="There is nothing at '/v1/files'"):
        ai.files.list()


def test_openai_s_early_close_stops_the_generation(service: Living, ai: openai.OpenAI) -> None:
    before = stats(service)
    stream = ai.chat.completions.create(model="slow", messages=HI, stream=True)
    assert next(iter(stream)).choices[0].delta.content == "Aye"
    assert service.in_flight("slow") == 1
    stream.close()
    until_sync(lambda: service.in_flight("slow") == 0, timeout=1)
    until_sync(lambda: stats(service)["cancelled"] == before["cancelled"] + 1, timeout=1)


async def test_openai_async(service: Living) -> None:
    base = f"{service.url}/v1"
    async with openai.AsyncOpenAI(base_url=base, api_key=service.token, max_retries=0) as ai:
        stream = await ai.chat.completions.create(model="demo", messages=HI, max_tokens=8, stream=True)
        assert [chunk async for chunk in stream]
        async with ai.chat.completions.stream(model="slow", messages=HI) as helped:
            await anext(aiter(helped))
            assert service.in_flight("slow") == 1
        await until(lambda: service.in_flight("slow") == 0, timeout=1)


def test_openai_with_a_token_for_one_model(service: Living) -> None:
    given = {"name": "limited", "scope": "chat", "models": ["demo"]}
    status, token = service.do(service.house.call("POST", "/tokens", given))
    assert status == 201
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=token["token"], max_retries=0) as ai:
        assert {model.id for model in ai.models.list()} == {"active-llm", "demo", "acme/demo", "gpt-4o-mini"}
        assert ai.chat.completions.create(model="active-llm", messages=HI, max_tokens=2).choices
        with pytest.raises(openai.PermissionDeniedError, match="It may use: demo") as caught:
            ai.embeddings.create(model="embedder", input="x")
        assert (caught.value.code, caught.value.param) == ("forbidden", "model")
    with anthropic.Anthropic(base_url=service.url, api_key=token["token"], max_retries=0) as claude:
        with pytest.raises(anthropic.PermissionDeniedError, match="It may use: demo") as refused:
            claude.messages.create(model="slow", messages=HI, max_tokens=2)
        assert refused.value.type == "permission_error"


def test_openai_with_a_token_for_something_else(service: Living) -> None:
    status, token = service.do(service.house.call("POST", "/tokens", {"name": "looks", "scope": "read"}))
    assert status == 201
    with openai.OpenAI(base_url=f"{service.url}/v1", api_key=token["token"], max_retries=0) as ai:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            ai.chat.completions.create(model="demo", messages=HI)
        assert caught.value.code == "forbidden"


# ── Anthropic ────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("name", ["active-llm", "demo", "gpt-4o-mini"])
def test_anthropic_messages(claude: anthropic.Anthropic, name: str) -> None:
    answer = claude.messages.create(model=name, messages=HI, max_tokens=8)
    assert (answer.model, answer.stop_reason) == ("acme/demo", "max_tokens")
    assert answer.content[0].type == "text"
    assert answer.usage.output_tokens == 8


def test_anthropic_messages_streamed(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(model="demo", messages=HI, max_tokens=8) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert final.content[0].type == "text"
    assert text == final.content[0].text != ""


def test_anthropic_counts_tokens(claude: anthropic.Anthropic) -> None:
    assert claude.messages.count_tokens(model="demo", messages=HI).input_tokens > 0


def test_anthropic_models(claude: anthropic.Anthropic) -> None:
    listed = list(claude.models.list())
    assert "demo" in [model.id for model in listed]
    assert {model.type for model in listed} == {"model"}
    assert claude.models.retrieve("demo").display_name == "demo"


def test_anthropic_errors(claude: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError, match="Active now: demo") as caught:
        claude.messages.create(model="claude-9", messages=HI, max_tokens=8)
    assert caught.value.type == "not_found_error"
    with pytest.raises(anthropic.AuthenticationError, match="token") as refused:
        claude.with_options(api_key="wrong").messages.create(model="demo", messages=HI, max_tokens=8)
    assert refused.value.type == "authentication_error"
    with pytest.raises(anthropic.NotFoundError, match="does not have /v1/messages") as lacking:
        claude.messages.create(model="slow", messages=HI, max_tokens=8)
    assert lacking.value.type == "not_found_error"


async def test_anthropic_async_and_early_close(service: Living) -> None:
    async with anthropic.AsyncAnthropic(base_url=service.url, api_key=service.token, max_retries=0) as claude:
        stream = await claude.messages.create(model="demo", messages=HI, max_tokens=500, stream=True)
        await anext(aiter(stream))
        await stream.close()
        await until(lambda: service.in_flight("active-llm") == 0, timeout=1)
        assert (await claude.messages.create(model="demo", messages=HI, max_tokens=2)).content


# ── what the documents show ──────────────────────────────────────────────────────────────────

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("page", ["README.md", "docs/gateway.md"])
def test_the_examples_of_the_documents_work(
    service: Living, capsys: pytest.CaptureFixture[str], page: str
) -> None:
    examples = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert examples
    for example in examples:
        mine = example.replace("http://127.0.0.1:8080", service.url)
        mine = re.sub(r'api_key="\w+"', f'api_key="{service.token}"', mine)
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            exec(mine, {})
            gc.collect()
        assert "Model Manager" in capsys.readouterr().out


def stats(service: Living) -> dict[str, int]:
    """What the slow model's server counted."""
    target = service.house.parts.targets.get("slow")
    assert target is not None
    _, counts = service.do(service.house.relay.json("GET", f"{target.url}/stats"))
    return dict(counts)
