"""Where a service of the settings meets its cluster."""

import secrets
import socket
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.connection import connect
from model_manager.serving.kserve.kinds import Object, labels
from model_manager.serving.kserve.lease import Lease
from model_manager.serving.kserve.platform import KServePlatform
from model_manager.serving.kserve.pods import SERVICE_LABEL, by_pod_ip
from model_manager.serving.kserve.preflight import Preflight
from model_manager.serving.runtime import ServingRuntime


def open_platform(
    kubeconfig: Path | None, namespace: str, *, claim: str, weights_there: Callable[[str], bool],
    runtimes: Mapping[str, ServingRuntime] = MappingProxyType({}), through_service: bool = False, repair: bool = True,
    may_change: Callable[[], bool] = lambda: True,
) -> KServePlatform:  # fmt: skip
    """A platform that watches already. Raises SettingsError where no cluster is configured; it need not answer yet.

    `runtimes`: what is known of them where the cluster may not be asked. `through_service`:
    models are reached by the name of KServe's Service, not by their pod's address. `may_change` says whether it is
    this service's turn to write.
    """
    api = Api(lambda: connect(kubeconfig), namespace, may_change=may_change)

    def by_service(pod: Object) -> str | None:
        ready = by_pod_ip(pod) is not None
        return f"http://{labels(pod).get(SERVICE_LABEL)}-predictor.{namespace}.svc" if ready else None

    platform = KServePlatform(
        api, Preflight(api, claim, weights_there), address=by_service if through_service else by_pod_ip,
        repair=repair, packaged=runtimes,
    )  # fmt: skip
    platform.start()
    return platform


def open_lease(
    kubeconfig: Path | None, namespace: str, slot: str, *, state: str, state_in_use: Callable[[], bool]
) -> Lease:
    """The lease of the services whose default slot is `slot`, with connections of its own: it must not wait in a queue.

    `state` names the state folder. A holder of this host (a pod's name is its own) and this folder that does not have
    the folder in use is the one that crashed here before.
    Raises SettingsError where no cluster is configured.
    """
    here = f"{socket.gethostname()}_{zlib.crc32(state.encode()):08x}_"
    return Lease(
        Api(lambda: connect(kubeconfig), namespace), f"model-manager-{slot}", here + secrets.token_hex(4),
        is_gone=lambda holder: holder.startswith(here) and not state_in_use(),
    )  # fmt: skip
