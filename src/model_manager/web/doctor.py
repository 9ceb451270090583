"""`/system/doctor`: whether the service has what it needs, and the command that mends what is missing."""

from msgspec import Struct

from model_manager import commands
from model_manager.commands import Parts
from model_manager.http.routing import Route
from model_manager.serving.findings import Finding, Status

_WORST_FIRST: tuple[Status, ...] = ("fail", "warn", "unknown", "ok")


class Examination(Struct):
    """`status` is the worst of the findings'."""

    status: Status
    findings: list[Finding]


async def doctor(parts: Parts) -> Examination:
    """Look whether the service has what it needs: folders, catalog, platform, and what the catalog's models need.

    On a cluster: KServe's kinds and their versions, Knative's feature flags, every right, the claim, runtimes, GPUs,
    secrets. Each finding says what to do about it. Changes nothing.
    """
    findings = await commands.doctor(parts)
    statuses = {finding.status for finding in findings}
    return Examination(next(status for status in _WORST_FIRST if status in statuses), findings)


ROUTES = (Route("GET", "/system/doctor", doctor, at_once=2),)
