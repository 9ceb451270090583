"""Routes of the original API that this version does not answer: 501, with what to do instead.

They are here so that an old client is told so in words, and not that there is nothing. What it sends is not looked at.
"""

from typing import NoReturn

from msgspec import Struct

from model_manager.commands import Parts
from model_manager.errors import NotOffered
from model_manager.http.routing import Route

_BROWSE = "Look at https://huggingface.co/models, and write an entry: docs/catalog.md says how."
_TRY = "Activate it: one that does not fit is refused with the reason, and what served before serves on."
_SUPPORTED = "The model server's own documentation lists what it can load; its log says so when it cannot."


class Taken(Struct, rename="camel"):
    """What the original took in the query."""

    q: str = ""
    limit: str = ""
    auto_detect: str = ""
    gpu_type: str = ""


async def generate_entry(_: Parts) -> NoReturn:
    """Make a catalog entry from a repository of the Hub."""
    raise NotOffered(
        "Making an entry from a repository of the Hub is not offered by this version.",
        'An entry needs little: {"id": "…", "hfModelId": "owner/name"}. POST /catalog/preview shows the outcome.',
    )


async def propose_entry(_: Parts) -> NoReturn:
    """Propose a catalog entry as a pull request."""
    raise NotOffered(
        "Opening pull requests is not offered by this version: the service only reads the catalog's repository.",
        "Commit the file to a branch yourself; `model-manager catalog check` finds its problems before.",
    )


async def search_hub(_: Parts, query: Taken) -> NoReturn:
    """Search the Hugging Face Hub."""
    raise NotOffered("Searching the Hub is not offered by this version.", _BROWSE)


async def hub_model(_: Parts, hub_id: str, query: Taken) -> NoReturn:
    """Describe a repository of the Hugging Face Hub."""
    raise NotOffered("Describing repositories of the Hub is not offered by this version.", _BROWSE)


async def compatibility(_: Parts, model_id: str, query: Taken) -> NoReturn:
    """Estimate whether a model fits a GPU."""
    raise NotOffered("Estimating what fits a GPU is not offered by this version.", _TRY)


async def gpu_profiles(_: Parts) -> NoReturn:
    """List known GPUs."""
    raise NotOffered("A list of GPUs is not offered by this version.", _TRY)


async def recommendations(_: Parts, gpu_type: str) -> NoReturn:
    """Recommend flags of the model server for a GPU."""
    raise NotOffered("Recommending flags for a GPU is not offered by this version.", _TRY)


async def supported_architectures(_: Parts) -> NoReturn:
    """List the architectures that vLLM supports."""
    raise NotOffered("Listing vLLM's architectures is not offered by this version.", _SUPPORTED)


async def architecture(_: Parts, architecture: str) -> NoReturn:
    """Describe an architecture that vLLM supports."""
    raise NotOffered("Describing vLLM's architectures is not offered by this version.", _SUPPORTED)


async def discover_model(_: Parts) -> NoReturn:
    """Make a catalog entry for vLLM from a repository of the Hub."""
    raise NotOffered("Making an entry from a repository of the Hub is not offered by this version.", _BROWSE)


async def model_information(_: Parts) -> NoReturn:
    """Describe a repository of the Hub, with recommendations for vLLM."""
    raise NotOffered("Describing repositories of the Hub is not offered by this version.", _BROWSE)


ROUTES = (
    Route("GET", "/models/{model_id}/compatibility", compatibility, status=501),
    Route("POST", "/catalog/generate", generate_entry, status=501),
    Route("POST", "/catalog/pr", propose_entry, status=501),
    Route("GET", "/huggingface/search", search_hub, status=501),
    Route("GET", "/huggingface/models/{hub_id:path}", hub_model, status=501),
    Route("GET", "/recommendations/profiles", gpu_profiles, status=501),
    Route("GET", "/recommendations/{gpu_type}", recommendations, status=501),
    Route("GET", "/vllm/supported-models", supported_architectures, status=501),
    Route("GET", "/vllm/model/{architecture}", architecture, status=501),
    Route("POST", "/vllm/discover", discover_model, status=501),
    Route("POST", "/vllm/model-info", model_information, status=501),
)
