"""Watches that break in every way there is: what the copy says afterwards is what the server has."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from model_manager.serving.kserve.kinds import PODS, Object, name_of
from model_manager.serving.kserve.mirror import USUAL, Mirror, Watching
from tests.serving.kserve.conftest import QUICK, api_of
from tests.serving.kserve.fake_api import Asked, FakeApi
from tests.waiting import until


def pod(name: str, **status: object) -> Object:
    return {
        "metadata": {"labels": {"serving.kserve.io/inferenceservice": "s"}},
        "status": {"phase": name, **status},
    }


def put(server: FakeApi, name: str, **status: object) -> Object:
    return server.store.put(("pods", "default", name), pod(name, **status))


@asynccontextmanager
async def mirror(server: FakeApi, watching: Watching = QUICK) -> AsyncIterator[Mirror]:
    client = api_of(server)
    made = Mirror(client, PODS, changed.append, watching, {})
    task = asyncio.create_task(made.run())
    try:
        await until(made.complete.is_set)
        await until(lambda: server.watches("pods"))
        yield made
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await client.aclose()


changed: list[Object] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    changed.clear()


def names(copy: Mirror) -> list[str]:
    return sorted(name_of(item) for item in copy.all())


async def test_what_comes_changes_and_goes_is_copied(api: FakeApi) -> None:
    put(api, "a")
    async with mirror(api) as copy:
        put(api, "b")
        await until(lambda: names(copy) == ["a", "b"])
        put(api, "a", podIP="10.0.0.1")
        await until(lambda: (copy.get("a") or {})["status"].get("podIP"))
        api.store.delete(("pods", "default", "b"))
        await until(lambda: names(copy) == ["a"])
        assert [name_of(item) for item in changed] == ["a", "b", "a", "b"]
        assert api.count("list", "pods") == 1


async def test_a_watch_that_the_server_ends_is_gone_on_with(api: FakeApi) -> None:
    async with mirror(api) as copy:
        for name in "abc":
            api.end_watches("pods")
            put(api, name)
        await until(lambda: names(copy) == ["a", "b", "c"])
        assert api.count("list", "pods") == 1, "nothing was missed, so nothing is listed again"


async def test_a1_gone_as_an_event_is_listed_anew(api: FakeApi) -> None:
    put(api, "a")
    async with mirror(api) as copy:
        api.store.delete(("pods", "default", "a"))
        put(api, "b")
        api.store.compact()
        api.end_watches("pods")
        await until(lambda: names(copy) == ["b"])


async def test_a1_gone_as_a_status_twice_running_is_no_hot_loop(api: FakeApi) -> None:
    async with mirror(api) as copy:
        api.fail(410, "Expired", "too old", match=lambda asked: asked.verb == "watch", times=2)
        api.end_watches("pods")
        await until(lambda: api.count("watch", "pods") >= 4)
        put(api, "a")
        await until(lambda: names(copy) == ["a"])
        assert api.count("list", "pods") == 3
        assert api.count("watch", "pods") == 4


async def test_watches_that_end_at_once_are_no_hot_loop(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a proxy answers that knows no streams."""
    async with mirror(api):

        async def ended(asked: Asked, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

        monkeypatch.setattr(api, "_watch", ended)
        before = api.count("watch", "pods")
        api.end_watches("pods")
        await asyncio.sleep(0.5)
        assert 2 <= api.count("watch", "pods") - before <= 8


async def test_a_defect_of_ours_does_not_end_a_watch(api: FakeApi) -> None:
    told: list[Object] = []

    def stumbling(item: Object) -> None:
        told.append(item)
        if name_of(item) == "bad":
            raise TypeError

    client = api_of(api)
    copy = Mirror(client, PODS, stumbling, QUICK, {})
    task = asyncio.create_task(copy.run())
    await until(lambda: api.watches("pods"))
    put(api, "bad")
    await until(lambda: told)
    put(api, "good")
    await until(lambda: copy.get("good") is not None and copy.trouble is None)
    task.cancel()
    await client.aclose()


async def test_a2_silence_ends_a_half_open_watch(api: FakeApi) -> None:
    async with mirror(api, Watching(seconds=60, silence=0.2, pause=0.02)) as copy:
        api.silent = True
        put(api, "a")
        await until(lambda: copy.trouble is not None or names(copy))
        api.silent = False
        await until(lambda: names(copy) == ["a"])
        assert api.count("list", "pods") >= 2


def test_a2_the_usual_watch_ends_before_silence_counts_and_silence_within_75_seconds() -> None:
    assert USUAL.seconds < USUAL.silence <= 75


async def test_a3_what_vanished_unseen_is_dropped_by_the_next_list(api: FakeApi) -> None:
    put(api, "ghost")
    async with mirror(api) as copy:
        port = api.port
        await api.stop()
        del api.store.objects["pods", "default", "ghost"]
        api.port = port
        await api.start()
        await until(lambda: names(copy) == [])
        assert name_of(changed[-1]) == "ghost"


@pytest.mark.parametrize(
    "line",
    [
        b"{\n", b"null\n", b'{"type":"ADDED"}\n', b'{"type":"ADDED","object":[]}\n', b"\xff\xfe\n",
        b'{"type":"NEW","object":{"metadata":{"resourceVersion":"9"}}}\n',
        b'{"type":"MODIFIED","object":{"metadata":{"name":"a","resourceVersion":7}}}\n',
    ],
)  # fmt: skip
async def test_a4_a_broken_line_is_listed_anew(api: FakeApi, line: bytes) -> None:
    async with mirror(api) as copy:
        api.say("pods", line)
        await until(lambda: api.count("list", "pods") == 2)
        put(api, "a")
        await until(lambda: names(copy) == ["a"])


async def test_a4_events_twice_late_and_in_pieces_change_nothing(api: FakeApi) -> None:
    old = json.dumps({"type": "ADDED", "object": put(api, "a")}, ensure_ascii=False).encode()
    async with mirror(api) as copy:
        new = put(api, "a", message="x…\u2028\x85 y")
        line = json.dumps({"type": "MODIFIED", "object": new}, ensure_ascii=False).encode() + b"\n"
        await until(lambda: copy.get("a") == new)
        api.say("pods", line)
        api.say("pods", old + b"\n")
        for piece in (line[:17], line[17:-9], line[-9:]):
            api.say("pods", piece)
        put(api, "b")
        await until(lambda: names(copy) == ["a", "b"])
        assert copy.get("a") == new
        assert api.count("list", "pods") == 1


async def test_a4_an_event_of_five_megabytes_is_read(api: FakeApi) -> None:
    async with mirror(api) as copy:
        put(api, "a", message="m" * (5 << 20))
        await until(lambda: names(copy) == ["a"])


async def test_a11_a_busy_server_is_obeyed_and_not_stormed(api: FakeApi) -> None:
    """A CRD that was just made answers 429 `storage is (re)initializing`."""
    api.fail(429, "TooManyRequests", "storage is (re)initializing", times=1, retry_after=1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with mirror(api):
        assert loop.time() - began >= 1.0
        assert api.count("list", "pods") == 2


async def test_a13_a_restarted_server_is_found_again(api: FakeApi) -> None:
    async with mirror(api) as copy:
        await api.stop()
        await until(lambda: copy.trouble is not None)
        assert copy.trouble is not None
        assert "cannot be reached" in copy.trouble.sentence
        await api.start()
        put(api, "a")
        await until(lambda: names(copy) == ["a"] and copy.trouble is None)


async def test_a14_a_right_that_is_missing_is_named(api: FakeApi) -> None:
    client = api_of(api)
    api.forbid("list", "pods")
    copy = Mirror(client, PODS, changed.append, QUICK, {})
    task = asyncio.create_task(copy.run())
    await until(lambda: copy.trouble is not None)
    task.cancel()
    assert copy.trouble is not None
    assert copy.trouble.sentence == "This service may not list pods in the namespace default."
    assert '"list" on pods' in copy.trouble.hint
    await client.aclose()


async def test_a14_a_watch_that_is_forbidden_is_a_trouble_until_it_is_not(
    api: FakeApi, caplog: pytest.LogCaptureFixture
) -> None:
    """Lists that go well in between do not end it, and are used."""
    api.forbid("watch", "pods")
    seen: list[str] = []

    def listed(item: Object) -> None:
        seen.append(copy.trouble.sentence if copy.trouble else "")

    client = api_of(api)
    copy = Mirror(client, PODS, listed, QUICK, {})
    put(api, "p0")
    task = asyncio.create_task(copy.run())
    for number in range(1, 4):
        await until(lambda number=number: api.count("watch", "pods") >= number and copy.trouble)
        put(api, f"p{number}")
    await until(lambda: len(names(copy)) == 4)
    assert seen == ["", *["This service may not watch pods in the namespace default."] * 3]
    assert len([one for one in caplog.records if "may not watch" in one.message]) == 1
    api.faults.clear()
    await until(lambda: copy.trouble is None)
    task.cancel()
    await client.aclose()


async def test_long_lists_come_page_by_page(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model_manager.serving.kserve.api.PAGE", 2)
    for number in range(5):
        put(api, f"p{number}")
    async with mirror(api) as copy:
        assert len(names(copy)) == 5
        assert api.count("list", "pods") == 3


async def test_a_write_of_our_own_is_seen_before_the_watch_tells(api: FakeApi) -> None:
    before = put(api, "a")
    async with mirror(api) as copy:
        later = {
            **before,
            "metadata": {**before["metadata"], "resourceVersion": "99999"},
            "status": {"phase": "new"},
        }
        copy.put(later)
        put(api, "a", podIP="10.0.0.1")  # an older version than what is known
        put(api, "b")
        await until(lambda: names(copy) == ["a", "b"])
        assert copy.get("a") == later
        copy.drop(later)
        assert names(copy) == ["b"]
