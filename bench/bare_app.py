"""What a service on our libraries costs at least: one route, one msgspec answer, and nothing else.

python -m bench.bare_app PORT
"""

import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


class Health(msgspec.Struct):
    status: str = "ok"


async def healthz(_: Request) -> Response:
    return Response(msgspec.json.encode(Health()), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run(
        Starlette(routes=[Route("/healthz", healthz)]), host="127.0.0.1", port=int(sys.argv[1]), loop="uvloop",
        http="httptools", ws="none", lifespan="off", log_level="warning", access_log=False,
    )  # fmt: skip
