"""etcd and the three Kubernetes servers: their command lines."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from testcluster.credentials import Credentials
from testcluster.process import Program

AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [{"level": "Metadata"}],
}


def free_ports(count: int) -> list[int]:
    """Ports on loopback that nobody listens on, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [one.getsockname()[1] for one in sockets]


class ControlPlane:
    """The programs, not yet started. `url` is where the API server will answer, at the same port after a restart."""

    def __init__(self, programs: Path, folder: Path, logs: Path, credentials: Credentials) -> None:
        self._programs, self._folder, self._logs, self._credentials = programs, folder, logs, credentials
        self._ports = dict(
            zip(("etcd", "peer", "api", "controllers", "scheduler"), free_ports(5), strict=True)
        )
        self.url = f"https://127.0.0.1:{self._ports['api']}"
        self.audit_log = logs / "audit.log"
        self.etcd = self._etcd()
        self.apiserver = self._apiserver()
        self.controllers = self._controllers()
        self.scheduler = self._scheduler()

    def __iter__(self) -> Iterator[Program]:
        return iter((self.etcd, self.apiserver, self.controllers, self.scheduler))

    def _program(self, name: str, *flags: str) -> Program:
        return Program(name, [self._programs / name, *flags], self._logs / f"{name}.log")

    def _etcd(self) -> Program:
        clients, peers = (f"http://127.0.0.1:{self._ports[name]}" for name in ("etcd", "peer"))
        return self._program(
            "etcd",
            f"--data-dir={self._folder / 'etcd'}",
            "--unsafe-no-fsync",  # it outlives no test run
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            "--log-level=warn",
        )

    def _apiserver(self) -> Program:
        credentials = self._credentials
        policy = self._folder / "audit-policy.json"
        policy.write_text(json.dumps(AUDIT_POLICY))
        return self._program(
            "kube-apiserver",
            f"--etcd-servers=http://127.0.0.1:{self._ports['etcd']}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={self._ports['api']}",
            "--endpoint-reconciler-type=none",  # it would refuse a loopback address as its own
            *self._served_with(),
            f"--token-auth-file={credentials.tokens_file}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={credentials.service_accounts}",
            f"--service-account-signing-key-file={credentials.service_accounts}",
            "--authorization-mode=RBAC",
            "--anonymous-auth=false",
            "--service-cluster-ip-range=10.96.0.0/16",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={self.audit_log}",
            "--profiling=false",
        )

    def _controllers(self) -> Program:
        return self._program(
            "kube-controller-manager",
            f"--kubeconfig={self._kubeconfig('system:kube-controller-manager')}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports['controllers']}",
            *self._served_with(),
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self._credentials.service_accounts}",
            f"--root-ca-file={self._credentials.ca}",
            "--allocate-node-cidrs=false",
            f"--flex-volume-plugin-dir={self._folder / 'flex'}",
            # A claim that it met before its volume is looked at again after that time; 15 s if nothing is said.
            "--pvclaimbinder-sync-period=1s",
            # A lost node is seen within seconds, as a test waits for it; a cluster takes 50 s.
            "--node-monitor-period=1s",
            "--node-monitor-grace-period=5s",
            "--profiling=false",
        )

    def _scheduler(self) -> Program:
        return self._program(
            "kube-scheduler",
            f"--kubeconfig={self._kubeconfig('system:kube-scheduler')}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._ports['scheduler']}",
            *self._served_with(),
            "--leader-elect=false",
            "--profiling=false",
        )

    def _served_with(self) -> tuple[str, str]:
        return (
            f"--tls-cert-file={self._credentials.certificate}",
            f"--tls-private-key-file={self._credentials.key}",
        )

    def _kubeconfig(self, user: str) -> Path:
        return self._credentials.kubeconfig(user, self.url, self._credentials.tokens[user])
