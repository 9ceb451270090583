"""The running service, as its commands and its routes see it."""

from collections.abc import Callable, Mapping

from msgspec import Struct, field

from model_manager.catalog.catalog import Catalog
from model_manager.catalog.snapshot import CatalogItem
from model_manager.errors import NotFound
from model_manager.events import EventLog
from model_manager.jobs.queue import Jobs
from model_manager.metrics import History, Metrics
from model_manager.serving.control import SlotLoop
from model_manager.serving.forecaster import Forecaster
from model_manager.serving.platform import Manifest, Platform
from model_manager.serving.runtime import ServingRuntime
from model_manager.serving.targets import Targets
from model_manager.state.database import Database
from model_manager.tokens import Tokens
from model_manager.weights.store import WeightStore

Render = Callable[[CatalogItem, str, str], tuple[Manifest, str | None]]
"""(item, slot, activation) -> its manifest, and the folder of the weights that are installed for it, if any."""


class Places(Struct, frozen=True):
    """Where things lie, for people to read. `models_subdir` is the folder of the entries inside the catalog."""

    catalog: str
    models_subdir: str
    weights: str
    pvc_name: str
    state: str


class Webhook(Struct, frozen=True):
    """What a Git host's call is checked with. `secret` reads it afresh and may raise SettingsError; None: not set.

    `ref` is the branch, tag or commit that the catalog follows, None where somebody else keeps its folder.
    """

    secret: Callable[[], str | None]
    ref: str | None


class HeldLease(Struct, frozen=True):
    """The Lease of the cluster that this service works by. `holder` is its name there; `token` counts the turns."""

    namespace: str
    name: str
    holder: str
    token: int


class Parts(Struct):
    """The running service, as its commands see it. Made by `app/assembly.py`. `started_at` is in
    seconds since the epoch.
    """

    version: str
    started_at: float
    database: Database
    events: EventLog
    tokens: Tokens
    jobs: Jobs
    catalog: Catalog
    weights: WeightStore
    platform: Platform
    targets: Targets
    loops: dict[str, SlotLoop]
    default_slot: str
    render: Render
    forecaster: Forecaster
    runtimes: Mapping[str, ServingRuntime]
    metrics: Metrics
    places: Places
    settings: list[dict[str, str]]
    webhook: Webhook
    problems: Callable[[], list[str]]
    connections: Callable[[], int] = lambda: 0
    lease: HeldLease | None = None
    samples: History = field(default_factory=History)

    @property
    def slots(self) -> tuple[str, ...]:
        return tuple(self.loops)

    def slot_named(self, name: str | None) -> str:
        """The slot of this name, or the default one for None. Raises NotFound."""
        found = name or self.default_slot
        if found not in self.loops:
            raise NotFound(
                f"There is no slot {found!r}.",
                f"Slots are declared in MODEL_MANAGER_SLOTS: {', '.join(self.slots)}.",
            )
        return found
