"""An API server that has just started forbids everything for a moment: that is no answer yet."""

import httpx2
import pytest

from model_manager.errors import Forbidden, Unavailable
from model_manager.serving.kserve import api as module
from model_manager.serving.kserve.api import SETTLING, Api
from model_manager.serving.kserve.kinds import PODS

FORBIDDEN = {"kind": "Status", "code": 403, "message": 'cannot list resource "pods" in API group ""'}


async def test_a_403_after_an_outage_is_tried_again_until_it_is_believed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "TRIES", 1)
    now, away = [0.0], [False]

    def answer(request: httpx2.Request) -> httpx2.Response:
        if away[0]:
            raise httpx2.ConnectError("refused", request=request)
        return httpx2.Response(403, json=FORBIDDEN)

    def connect() -> httpx2.AsyncClient:
        return httpx2.AsyncClient(base_url="http://api", transport=httpx2.MockTransport(answer))

    api = Api(connect, "default", clock=lambda: now[0])
    with pytest.raises(Forbidden):
        await api.list_all(PODS)
    away[0] = True
    with pytest.raises(Unavailable, match="cannot be reached"):
        await api.list_all(PODS)
    away[0] = False
    with pytest.raises(Unavailable, match=r"has just come back .*may not list pods"):
        await api.list_all(PODS)
    now[0] = SETTLING
    with pytest.raises(Forbidden):
        await api.list_all(PODS)
    await api.aclose()
