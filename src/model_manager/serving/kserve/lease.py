"""Whose turn it is: a Lease of the cluster, held by one service at a time.

As in client-go's leader election (tools/leaderelection/leaderelection.go), a holder renews it, and one that was not
renewed for `leaseDurationSeconds` of the looker's own clock is free. Two things differ. Whoever waits asks for it, by
an annotation, and the holder hands it over. And a holder that cannot reach the API server goes on: nobody else can take
the lease there either, the fencing token keeps the state safe when only this one was cut off, and it changes nothing
in the cluster before it has seen that the lease is its own still (`is_sure`).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Literal, TypeVar

from msgspec import Struct

from model_manager.errors import ModelManagerError, NotFound
from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.kinds import LEASES, Object, annotations, mapping, metadata
from model_manager.serving.kserve.refusals import AlreadyExists, StaleVersion

log = logging.getLogger(__name__)

T = TypeVar("T")

ASKED_BY = "model-manager/asked-by"
"""Annotation of the Lease: who waits for it."""

Over = Literal["asked", "lost"]
"""Why a turn is over: another one asks for the lease, or has it."""


class Pace(Struct, frozen=True):
    """In seconds. A lease is free when it was not renewed for `expires`; it is renewed three times as often."""

    expires: float = 15.0
    every: float = 1.0
    """Between two looks at the lease."""
    release: float = 3.0
    """For giving it back: who does not manage to lets it expire."""


USUAL = Pace()


class Seen(Struct, frozen=True):
    """What a Lease says. `renewed` is only compared with itself: clocks of two machines differ."""

    holder: str
    token: int
    renewed: str
    asked_by: str
    version: str


class Lease:
    """One service's view of the lease `name`. `identity` is this service's alone, and new with every start.

    `token` is the fencing token of our turn: it grows with every change of hands. `trouble` is why the API server
    could not be asked the last time. `is_gone` says of a holder that it surely works no more: it is not waited for.
    """

    def __init__(
        self, api: Api, name: str, identity: str, pace: Pace = USUAL,
        clock: Callable[[], float] = time.monotonic, is_gone: Callable[[str], bool] = lambda holder: False,
    ) -> None:  # fmt: skip
        self.name, self.identity = name, identity
        self.token = 0
        self.holder = ""
        self.trouble: ModelManagerError | None = None
        self._api, self._pace, self._clock, self._is_gone = api, pace, clock, is_gone
        self._last: tuple[str, str] = ("", "")
        self._changed_at = self._renewed_at = clock()

    @property
    def is_sure(self) -> bool:
        """Whether nobody else can have it: it is ours, and was renewed within its time."""
        return bool(self.token) and self._clock() - self._renewed_at < self._pace.expires

    # -- before our turn ----------------------------------------------------------------------------------

    async def take(self, *, ask: bool) -> int:
        """Wait until the lease is ours; returns the fencing token. `ask` its holder for it, or only wait."""
        while True:
            if await self._patiently(lambda: self._try(ask)):
                break
            await asyncio.sleep(self._pace.every)
        log.info("this service (%s) holds the lease %s, token %d", self.identity, self.name, self.token)
        return self.token

    async def _try(self, ask: bool) -> bool:
        try:
            seen = self._look_at(await self._api.get(LEASES, self.name))
        except NotFound:
            return await self._create(1)
        if seen.holder == self.identity:  # the answer that said so was lost
            self.token = seen.token
        elif self._is_free(seen):
            self.token = await self._write(seen, self._terms(seen.token + 1), asked_by=None)
        elif ask and not seen.asked_by:
            await self._write(seen, {}, asked_by=self.identity)
            log.info("asked %s for the lease %s", seen.holder or "nobody", self.name)
        return bool(self.token)

    def _look_at(self, item: Object) -> Seen:
        seen = seen_in(item)
        if self._last != (seen.holder, seen.renewed):
            self._last, self._changed_at = (seen.holder, seen.renewed), self._clock()
        self.holder = seen.holder
        return seen

    def _is_free(self, seen: Seen) -> bool:
        """One that was given back is first of all for who asked for it."""
        if self._clock() - self._changed_at >= self._pace.expires or self._is_gone(seen.holder):
            return True
        return not seen.holder and seen.asked_by in ("", self.identity)

    # -- our turn -----------------------------------------------------------------------------------------

    async def hold(self) -> Over:
        """Renew the lease until the turn is over."""
        while True:
            await asyncio.sleep(self._pace.every)
            if over := await self._patiently(self._renew):
                return over

    async def _renew(self) -> Over | None:
        try:
            seen = self._look_at(await self._api.get(LEASES, self.name))
        except NotFound:  # somebody deleted it
            await self._create(self.token)
            return None
        if seen.holder != self.identity:
            log.error(
                "%s has the lease %s now: this service stops working", seen.holder or "nobody", self.name
            )
            self.token = 0
            return "lost"
        if seen.asked_by not in ("", self.identity):
            log.info("%s asks for the lease %s: handing over", seen.asked_by, self.name)
            return "asked"
        if self._clock() - self._renewed_at >= self._pace.expires / 3:
            await self._write(seen, {"renewTime": _now()})
        return None

    async def raise_to(self, token: int) -> int:
        """Make the token at least `token`, which the state has met: a Lease that was deleted counts from 1 again.

        Raises StaleVersion when the lease is not ours any more.
        """
        seen = self._look_at(await self._api.get(LEASES, self.name))
        if seen.holder != self.identity:
            raise StaleVersion(f"{seen.holder or 'Nobody'} has the lease {self.name} now.")
        self.token = await self._write(seen, {"leaseTransitions": max(seen.token, token)})
        return self.token

    async def release(self) -> None:
        """Give it back, if it is ours; without an answer in time it is left to expire."""
        if not self.token:
            return
        self.token = 0
        try:
            async with asyncio.timeout(self._pace.release):
                seen = self._look_at(await self._api.get(LEASES, self.name))
                if seen.holder == self.identity:
                    await self._write(seen, {"holderIdentity": None, "renewTime": _now()})
                    log.info("gave the lease %s back", self.name)
        except (TimeoutError, ModelManagerError) as error:
            log.warning("the lease %s could not be given back and expires: %s", self.name, error)

    async def aclose(self) -> None:
        await self._api.aclose()

    # -- one request --------------------------------------------------------------------------------------

    async def _patiently(self, step: Callable[[], Awaitable[T]]) -> T | None:
        """One step; None when the API server does not answer it, or another one was quicker."""
        try:
            done = await step()
        except StaleVersion:
            return None
        except ModelManagerError as error:
            if self.trouble is None or self.trouble.sentence != error.sentence:
                log.warning("the lease %s cannot be looked at: %s", self.name, error.sentence)
            self.trouble = error
            return None
        self.trouble = None
        return done

    async def _create(self, token: int) -> bool:
        made = {
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": self.name},
            "spec": self._terms(token),
        }  # fmt: skip
        try:
            seen = self._look_at(await self._api.create(LEASES, made))
        except AlreadyExists:
            return False
        self.token, self._renewed_at = seen.token, self._clock()
        return True

    async def _write(self, seen: Seen, spec: Object, **noted: str | None) -> int:
        """Change it, if nobody has since we saw it; returns the token it has then."""
        about: Object = {"resourceVersion": seen.version}
        if noted:
            about["annotations"] = {ASKED_BY: noted["asked_by"]}
        written = await self._api.merge(LEASES, self.name, {"metadata": about, "spec": spec})
        self._renewed_at = self._clock()
        return self._look_at(written).token

    def _terms(self, token: int) -> Object:
        now = _now()
        return {
            "holderIdentity": self.identity, "leaseDurationSeconds": max(1, round(self._pace.expires)),
            "leaseTransitions": token, "acquireTime": now, "renewTime": now,
        }  # fmt: skip


def seen_in(item: Object) -> Seen:
    spec = mapping(item.get("spec"))
    return Seen(
        holder=str(spec.get("holderIdentity") or ""),
        token=int(spec.get("leaseTransitions") or 0),
        renewed=str(spec.get("renewTime") or ""),
        asked_by=str(annotations(item).get(ASKED_BY) or ""),
        version=str(metadata(item).get("resourceVersion", "")),
    )


def _now() -> str:
    """Kubernetes' MicroTime."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
