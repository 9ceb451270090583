"""Where a service of the settings meets its cluster."""

import secrets
import socket
from collections.abc import Callable
from pathlib import Path

from model_manager.serving.kserve.api import Api
from model_manager.serving.kserve.connection import connect
from model_manager.serving.kserve.kinds import Object, labels
from model_manager.serving.kserve.lease import Lease
from model_manager.serving.kserve.platform import KServePlatform
from model_manager.serving.kserve.pods import SERVICE_LABEL, by_pod_ip
from model_manager.serving.kserve.preflight import Preflight


def open_platform(
    kubeconfig: Path | None, namespace: str, *, claim: str, weights_there: Callable[[str], bool],
    through_service: bool = False, repair: bool = True,
) -> KServePlatform:  # fmt: skip
    """A platform that watches already. Raises SettingsError where no cluster is configured; it need not answer yet.

    `through_service`: models are reached by the name of KServe's Service, not by their pod's address.
    """
    api = Api(lambda: connect(kubeconfig), namespace)

    def by_service(pod: Object) -> str | None:
        ready = by_pod_ip(pod) is not None
        return f"http://{labels(pod).get(SERVICE_LABEL)}-predictor.{namespace}.svc" if ready else None

    platform = KServePlatform(
        api, Preflight(api, claim, weights_there), address=by_service if through_service else by_pod_ip,
        repair=repair,
    )  # fmt: skip
    platform.start()
    return platform


def open_lease(kubeconfig: Path | None, namespace: str, slot: str) -> Lease:
    """The lease of the services whose default slot is `slot`, with connections of its own: it must not wait in a queue.

    Raises SettingsError where no cluster is configured. A pod's host name is its own.
    """
    identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
    return Lease(Api(lambda: connect(kubeconfig), namespace), f"model-manager-{slot}", identity)
