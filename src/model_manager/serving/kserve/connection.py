"""Where the API server is and who we are to it: lightkube's configuration, and a token that is read again."""

import logging
import time
from collections.abc import Callable, Generator
from pathlib import Path

import httpx2
from lightkube.config.client_adapter import AsyncClient, ConnectionParams
from lightkube.config.kubeconfig import SERVICE_ACCOUNT, KubeConfig, SingleConfig

from model_manager.errors import SettingsError

logging.getLogger("httpx2").setLevel(
    logging.WARNING
)  # a line for every request says nothing that ours do not

REREAD = 60.0
"""Seconds after which the token is read again: the kubelet writes a new one long before the old one expires."""

SILENCE = 60.0
"""Seconds without a byte after which a connection is dead. A watch ends by itself before, and is begun anew."""


class TokenFile(httpx2.Auth):
    """The token of a service account, replaced while we run; a file that is empty right now changes nothing."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = path, clock
        self._token, self._read_at = "", float("-inf")

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        before = self._current()
        request.headers["Authorization"] = f"Bearer {before}"
        response = yield request
        if response.status_code == 401:
            self._read()
            if self._token != before:
                request.headers["Authorization"] = f"Bearer {self._token}"
                yield request

    def _current(self) -> str:
        if self._clock() - self._read_at > REREAD:
            self._read()
        return self._token

    def _read(self) -> None:
        try:
            token = self._path.read_text().strip()
        except OSError:
            return
        if token:
            self._token, self._read_at = token, self._clock()


def connect(kubeconfig: Path | None) -> httpx2.AsyncClient:
    """A client of the API server: of the pod's own service account, or of a kubeconfig file.

    Raises SettingsError when neither is there. Called again when the cluster's certificates have changed.
    """
    try:
        config = _configuration(kubeconfig)
        # Pools and idle connections as httpx2 has them. No proxy of the environment: the API server is inside.
        client = AsyncClient(
            config, ConnectionParams(timeout=httpx2.Timeout(10.0, read=20.0), trust_env=False)
        )
    except Exception as e:  # whatever lightkube and YAML raise for a file that is something else
        # What follows the first line may quote the file, and its token.
        why = (str(e).splitlines() or [""])[0] or type(e).__name__
        raise SettingsError(
            f"The Kubernetes configuration cannot be used: {why}."
            if kubeconfig
            else f"This is no pod with a service account: nothing is mounted at {SERVICE_ACCOUNT}.",
            "Name a kubeconfig file in MODEL_MANAGER_KUBECONFIG, or run the service in the cluster.",
        ) from e
    if config.user is not None and config.user.token_file is not None:
        client.auth = TokenFile(Path(config.user.token_file))
    return client


def _configuration(kubeconfig: Path | None) -> SingleConfig:
    found = KubeConfig.from_file(kubeconfig) if kubeconfig else KubeConfig.from_service_account()
    config = found.get()
    assert config is not None  # `get` without a default gives one or raises
    return config
