"""Values that the chart is rendered with; the golden files hold what came out."""

from pathlib import Path

import yaml

from tests.chart.rendering import MINIMAL, Object

ORIGINAL: Object = yaml.safe_load((Path(__file__).parent / "original.yaml").read_text())
"""As a user of the original chart has them, with the image changed."""

_EVERYWHERE: Object = {
    "image": {"repository": "registry.example.com:5000/ai/model-manager", "tag": "0.2.0@sha256:" + "0" * 64},
    "imagePullSecrets": [{"name": "registry"}],
    "gitSync": {"repo": "https://git.example.com/catalog.git", "depth": 0, "maxFailures": 10},
    "active": {"inferenceServiceName": "chat"},
    "settings": {"MODEL_MANAGER_SLOTS": "embeddings", "MODEL_MANAGER_DRIFT": "keep"},
    "podAnnotations": {"example.com/restarted": "1"},
    "networkPolicy": {
        "enabled": True,
        "models": True,
        "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "apps"}}}],
    },
    "monitoring": {"podMonitor": True, "alerts": True, "labels": {"release": "prometheus"}},
    "runtimes": {"cuda": {"enabled": True}, "rocm": {"env": [{"name": "HIP_VISIBLE_DEVICES", "value": "0"}]}},
}

CASES: dict[str, Object] = {
    "knative": MINIMAL,
    "deployment": {**MINIMAL, "mode": "deployment"},
    "original": ORIGINAL,
    # Everything that can be turned on, secrets from 1Password and volumes in folders of a node.
    "knative-everything": {
        **_EVERYWHERE,
        "apiToken": {"onepasswordVaultID": "v", "onepasswordItemID": "t", "onepasswordField": "credential"},
        "onepassword": {"itemPath": "vaults/v/items/git"},
        "huggingface": {"onepasswordVaultID": "v", "onepasswordItemID": "hf"},
        "weights": {"create": True, "hostPath": "/srv/models", "hostNode": "venus"},
        "state": {"hostPath": "/srv/state", "hostNode": "venus", "storageClass": "local"},
        "route": {"host": "models.example.com", "createClaim": True},
        "knative": {"clusterLocal": True},
    },
    # The same with External Secrets and storage classes, and with least rights.
    "deployment-everything": {
        **_EVERYWHERE,
        "mode": "deployment",
        "namespace": "ai",
        "active": {"namespace": "models"},
        "apiToken": {"externalSecretKey": "ai/api"},
        "gitSync": {"repo": "https://git.example.com/catalog.git", "externalSecretKey": "ai/git"},
        "huggingface": {"externalSecretKey": "ai/hub"},
        "externalSecrets": {"storeName": "vault"},
        "weights": {"create": True, "storageClass": "nfs", "accessModes": ["ReadWriteMany"]},
        "state": {"create": False, "pvcName": "kept"},
        "nodeSelector": {"disk": "large"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "rbac": {"clusterRead": False, "readSecrets": False},
    },
    # Nothing is kept, the token is in the values, root writes.
    "deployment-bare": {
        **MINIMAL,
        "mode": "deployment",
        "fullnameOverride": "mm",
        "apiToken": {"createSecret": True, "value": "from-values"},
        "onepassword": {"secretName": "git-there"},
        "huggingface": {"secretName": "hub-there", "secretKey": "token"},
        "state": {"enabled": False},
        "runtimes": {"rocm": {"enabled": False}, "llamaCpp": {"enabled": False}},
        "securityContext": {"runAsUser": 0, "runAsGroup": 0},
    },
}
