"""Taking over what somebody else made under a slot's name."""

import asyncio

from model_manager.commands.activations import Activation, draft_of, get_activation
from model_manager.commands.parts import Parts
from model_manager.errors import InvalidRequest, NotFound
from model_manager.serving import ledger, takeover
from model_manager.serving.platform import ADOPT_ANNOTATION


async def adopt(parts: Parts, slot: str, model_id: str | None, actor: str) -> Activation:
    """Take over what somebody else made under a slot's name: nothing of it is restarted, and it is verified next.

    `model_id` says which entry of the catalog it is; without one the object's own word for that is taken.
    Raises NotFound where there is nothing to take over.
    """
    name = parts.slot_named(slot)
    found = await parts.platform.foreign(name)
    if found is None:
        raise NotFound(
            f"There is nothing to take over: nobody else made an InferenceService {name}.",
            "On a cluster, one of that name in ACTIVE_NAMESPACE that this service did not make can be.",
        )
    model = model_id or takeover.said_model(found)
    if model is None:
        raise InvalidRequest(
            f"The InferenceService {name} does not say which model of the catalog it serves.",
            'Send {"model": "…"}, or `model-manager slots adopt SLOT MODEL`.',
        )
    draft = draft_of(parts, parts.catalog.item(model), name, actor)
    draft.manifest["metadata"].setdefault("annotations", {})[ADOPT_ANNOTATION] = "true"
    if draft.weights and await asyncio.to_thread(parts.weights.find, draft.weights) is None:
        draft.weights = None  # what serves has its weights, wherever they lie: nothing is to be installed
    await parts.database.write(lambda txn: ledger.begin(txn, parts.events, draft))
    parts.loops[name].poke()
    return await get_activation(parts, draft.id)
