"""How long it will take until a model serves, from how long it took before. Pure: no I/O, no clock.

A load is one activation's way from the start of its server to its verified answer; a stop is the way of the old model
before that. The weights' way comes from what recent installs brought in a second.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from model_manager.serving.activation import Phase

LATEST = 5
"""Loads that a forecast looks at: machines and versions change, so old ones say little."""

ALIKE = 10.0
"""Times by which two models' weights may differ in size for one to say something about the other."""


class Transition(Struct, frozen=True):
    """An activation entered a phase at `at`, in seconds since some epoch."""

    activation: str
    model_id: str
    phase: Phase
    at: float


class Load(Struct, frozen=True):
    """Seconds a model took: `stop` for the old one to drain and end (None: there was none), `start` until verified."""

    model_id: str
    activation: str
    stop: float | None
    start: float


class Known(Struct, frozen=True):
    """Everything a forecast may depend on.

    `loads` latest first, `sizes` in bytes of the weights by model id, `rates` in bytes per second of recent installs.
    `fetch`: bytes that still have to come, None when that is not known; `fetch_seconds`: what the install under way
    says itself. `replaces`: the slot serves another model, which has to stop.
    """

    model_id: str
    loads: Sequence[Load] = ()
    sizes: dict[str, int] = {}
    rates: Sequence[float] = ()
    fetch: int | None = 0
    fetch_seconds: float | None = None
    replaces: bool = False


class Forecast(Struct, frozen=True, rename="camel"):
    """Seconds until a model serves, and its parts; null where nothing is known.

    `downtimeSeconds` is the part in which the slot serves nothing: from the old model's last request to the new one's
    first. `basedOn` counts the loads that were looked at; `notes` say what the figures leave out.
    """

    seconds: float | None
    bytes_to_fetch: int | None
    install_seconds: float | None
    stop_seconds: float | None
    start_seconds: float | None
    downtime_seconds: float | None
    based_on: int
    notes: list[str]


def forecast(known: Known) -> Forecast:
    """What the past says about this model."""
    notes: list[str] = []
    install = _install_seconds(known, notes)
    stop = _stop_seconds(known, notes)
    start, based_on = _start_seconds(known, notes)
    switch = _sum(stop, start)
    return Forecast(
        seconds=_rounded(_sum(install, switch)),
        bytes_to_fetch=known.fetch,
        install_seconds=_rounded(install),
        stop_seconds=_rounded(stop),
        start_seconds=_rounded(start),
        downtime_seconds=_rounded(switch) if known.replaces else 0.0,
        based_on=based_on,
        notes=notes,
    )


def forecast_of_served(model_id: str) -> Forecast:
    """Of a model that serves already: there is nothing to wait for."""
    return Forecast(0.0, 0, 0.0, 0.0, 0.0, 0.0, 0, [f"{model_id} serves already: there is nothing to do."])


def loads(transitions: Iterable[Transition]) -> list[Load]:
    """The loads in a run of transitions (oldest first), latest first. What never became active is none."""
    found: list[Load] = []
    entered: dict[str, dict[Phase, float]] = {}
    for transition in transitions:
        phases = entered.setdefault(transition.activation, {})
        if transition.phase != "active":
            phases[transition.phase] = transition.at
            continue
        del entered[transition.activation]  # should it start again, that is another load
        if (load := _load(transition, phases)) is not None:
            found.append(load)
    return found[::-1]


def _load(active: Transition, entered: dict[Phase, float]) -> Load | None:
    started, stopping = entered.get("starting"), entered.get("stopping")
    if started is None:
        return None  # its beginning is no longer in the history
    start = active.at - started
    stop = None if stopping is None else started - stopping
    if start < 0 or (stop is not None and stop < 0):
        return None  # the clock was set meanwhile
    return Load(active.model_id, active.activation, stop, start)


def _install_seconds(known: Known, notes: list[str]) -> float | None:
    if known.fetch == 0:
        return 0.0
    if known.fetch_seconds is not None:
        return known.fetch_seconds
    if known.fetch is None:
        notes.append("How many bytes have to be fetched is known once the installation has asked for them.")
        return None
    if not known.rates:
        notes.append("Nothing was installed yet that would tell how fast bytes come.")
        return None
    return known.fetch / _median(known.rates[:LATEST])


def _stop_seconds(known: Known, notes: list[str]) -> float:
    if not known.replaces:
        return 0.0
    stops = [load.stop for load in known.loads if load.stop is not None][:LATEST]
    if not stops:
        notes.append("No model was replaced here yet: the time to stop the old one is left out.")
    return _median(stops) if stops else 0.0


def _start_seconds(known: Known, notes: list[str]) -> tuple[float | None, int]:
    """From the model's own loads; else from those of models of like size, in proportion to it."""
    own = [load.start for load in known.loads if load.model_id == known.model_id][:LATEST]
    if own:
        return _median(own), len(own)
    size = known.sizes.get(known.model_id)
    scaled = [
        load.start * size / other
        for load in known.loads
        if size and (other := known.sizes.get(load.model_id)) and size / ALIKE <= other <= size * ALIKE
    ][:LATEST]
    if scaled:
        notes.append(
            "This model was not loaded yet: other models' times were scaled by the size of the weights."
        )
        return _median(scaled), len(scaled)
    notes.append("Neither this model nor one of like size was loaded yet.")
    return None, 0


def _median(values: Sequence[float]) -> float:
    """Not the library's: its import costs more of a start than this is worth."""
    ordered, middle = sorted(values), len(values) // 2
    return ordered[middle] if len(values) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def _sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
