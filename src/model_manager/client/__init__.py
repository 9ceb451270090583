"""The typed Python client of the HTTP API, sync and async. It knows the API's shapes and nothing of the service.

    from model_manager.client import Client

    client = Client("http://127.0.0.1:8080", token="…")
    for model in client.list_models():
        print(model.id)
    client.activate(id="demo", wait=60)

`types`, `calls` and `operations` are written by `python -m tools.client_code` from the OpenAPI description.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model_manager.client import calls, types
    from model_manager.client.asynchronous import AsyncClient
    from model_manager.client.call import Call
    from model_manager.client.errors import ApiError, NotReachable
    from model_manager.client.sse import Message
    from model_manager.client.sync import Client

__all__ = ["ApiError", "AsyncClient", "Call", "Client", "Message", "NotReachable", "calls", "types"]

_HOMES = {
    "ApiError": "errors",
    "AsyncClient": "asynchronous",
    "Call": "call",
    "Client": "sync",
    "Message": "sse",
    "NotReachable": "errors",
}

if not TYPE_CHECKING:  # a type checker is to know the names, not that there could be any

    def __getattr__(name: str) -> Any:
        """Each is imported when it is asked for: a program that uses one client does not wait for the other."""
        if name in ("calls", "types"):
            return import_module(f"{__name__}.{name}")
        if name in _HOMES:
            return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
