"""A pod's service account: a token, and where the API server is.

A container finds them at a fixed path, which a process of this machine has not: it gets a kubeconfig, and its path in
the environment, as the product reads it.
"""

from pathlib import Path

import yaml

from testcluster.api import Api, Object

MOUNTED_AT = "/var/run/secrets/kubernetes.io/serviceaccount"
VARIABLE = "MODEL_MANAGER_KUBECONFIG"


async def lay(api: Api, pod: Object, folder: Path) -> Path:
    """Write what the kubelet would mount into `folder`: the kubeconfig that leads there."""
    namespace, account = pod["metadata"]["namespace"], pod["spec"]["serviceAccountName"]
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
    made = await api.create(f"serviceaccounts/{account}/token", body, namespace)
    (folder / "token").write_text(made["status"]["token"])
    (folder / "namespace").write_text(namespace)
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": {"server": api.url, "certificate-authority": str(api.ca)}}],
        "users": [{"name": account, "user": {"tokenFile": str(folder / "token")}}],
        "contexts": [
            {"name": "here", "context": {"cluster": "here", "user": account, "namespace": namespace}}
        ],
        "current-context": "here",
    }
    path = folder / "kubeconfig"
    path.write_text(yaml.safe_dump(config))
    return path
