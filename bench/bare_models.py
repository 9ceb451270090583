"""What answering a list of models costs without us: one Starlette route that encodes the list for each request.

python -m bench.bare_models PORT CATALOG

It has read the same entries beforehand. `/models` makes the list of them each time, as an app that was written down
straight does; `/made` has made the list too, and only encodes it.
"""

import sys
from pathlib import Path

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from model_manager.catalog.entry import DECODER
from model_manager.catalog.snapshot import CatalogItem, summary


def application(catalog: Path) -> Starlette:
    files = sorted((catalog / "models").glob("*.json"))
    items = [CatalogItem(DECODER.decode(file.read_bytes()), file.name, "", "") for file in files]
    made = [summary(item) for item in items]

    async def models(_: Request) -> Response:
        return Response(msgspec.json.encode([summary(item) for item in items]), media_type="application/json")

    async def only_encoded(_: Request) -> Response:
        return Response(msgspec.json.encode(made), media_type="application/json")

    return Starlette(routes=[Route("/models", models), Route("/made", only_encoded)])


if __name__ == "__main__":
    uvicorn.run(
        application(Path(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop", http="httptools",
        ws="none", lifespan="off", log_level="warning", access_log=False,
    )  # fmt: skip
