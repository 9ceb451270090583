"""Certificates, tokens and kubeconfigs of one cluster. Made anew each time, worth nothing elsewhere."""

import secrets
from pathlib import Path

import trustme
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

USERS = {
    "admin": "system:masters",
    "kserve": "system:masters",
    "knative": "system:masters",
    "test-node": "system:masters",
    "system:kube-controller-manager": "",
    "system:kube-scheduler": "",
}
"""Who may log in with a token of the API server's own list, and in which group."""

NAMES = ("127.0.0.1", "localhost", "10.96.0.1", "kubernetes.default.svc")
"""What the one certificate of every server is valid for."""


class Credentials:
    """Files below `folder`: ca.pem, server.pem, server-key.pem, service-accounts.key, tokens.csv."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.certificate, self.key = folder / "server.pem", folder / "server-key.pem"
        self.service_accounts, self.tokens_file = folder / "service-accounts.key", folder / "tokens.csv"
        self.tokens = {user: secrets.token_urlsafe(24) for user in USERS}
        self._make_certificates()
        self._make_service_account_key()
        self.tokens_file.write_text(
            "".join(f'{self.tokens[user]},{user},{user},"{group}"\n' for user, group in USERS.items())
        )

    def kubeconfig(self, name: str, url: str, token: str, namespace: str = "default") -> Path:
        """A file for whoever has `token`."""
        cluster = {"server": url, "certificate-authority": str(self.ca)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": name, "user": {"token": token}}],
            "contexts": [
                {"name": "test", "context": {"cluster": "test", "user": name, "namespace": namespace}}
            ],
            "current-context": "test",
        }
        path = self.folder / f"{name.replace(':', '-')}.kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def _make_certificates(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca))
        issued = authority.issue_cert(*NAMES)
        issued.private_key_pem.write_to_path(str(self.key))
        self.certificate.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))

    def _make_service_account_key(self) -> None:
        self.service_accounts.write_bytes(
            rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
