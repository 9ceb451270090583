"""What the service's own account may do in the tests of the cluster."""

from collections.abc import Mapping, Sequence
from typing import Any

from testcluster import Namespace

from model_manager.serving.kserve import rights


def rules(*, namespaced: bool) -> list[dict[str, Any]]:
    """The rights that the doctor asks for, and no other: what is missing there is missed by the tests here."""
    return [
        {
            "apiGroups": [right.kind.group],
            "resources": ["/".join(filter(None, (right.kind.plural, right.subresource)))],
            "verbs": list(right.verbs),
        }
        for right in rights.RIGHTS
        if right.kind.namespaced is namespaced
    ]


RIGHTS = rules(namespaced=True)
"""What the service's own account may do in its namespace."""

CLUSTER_RIGHTS = rules(namespaced=False)
"""What it may read of the cluster; without these, checks say that they do not know."""


async def may_read_the_cluster(
    namespace: Namespace, rules: Sequence[Mapping[str, Any]] = CLUSTER_RIGHTS
) -> None:
    rbac = "rbac.authorization.k8s.io"
    meta = {"apiVersion": f"{rbac}/v1", "metadata": {"name": f"{namespace.name}-reads"}}
    await namespace.api.apply({**meta, "kind": "ClusterRole", "rules": rules})
    role = {"apiGroup": rbac, "kind": "ClusterRole", "name": f"{namespace.name}-reads"}
    subject = {"kind": "ServiceAccount", "name": "model-manager", "namespace": namespace.name}
    await namespace.api.apply({**meta, "kind": "ClusterRoleBinding", "roleRef": role, "subjects": [subject]})
