"""A Kubernetes of one's own, for tests: the real servers, KServe and Knative, on this machine, without containers.

`build` makes the programs once, `Cluster` starts and stops them, `node/` plays the machines that run pods.
Linux only: pods have addresses in 127.0.0.0/8. It imports nothing of the product, and the product nothing of it.
"""

from testcluster.api import Api, Refused
from testcluster.cluster import Cluster
from testcluster.namespace import Namespace

__all__ = ["Api", "Cluster", "Namespace", "Refused"]
