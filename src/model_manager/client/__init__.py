"""The typed Python client of the HTTP API, sync and async. It knows the API's shapes and nothing of the service.

    from model_manager.client import Client

    client = Client("http://127.0.0.1:8080", token="…")
    for model in client.list_models():
        print(model.id)
    client.activate(id="demo", wait=60)

`types`, `calls` and `operations` are written by `python -m tools.client_code` from the OpenAPI description.
"""

from model_manager.client.asynchronous import AsyncClient
from model_manager.client.errors import ApiError, NotReachable
from model_manager.client.sync import Client

__all__ = ["ApiError", "AsyncClient", "Client", "NotReachable"]
