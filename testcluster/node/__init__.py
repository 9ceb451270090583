"""A machine of the cluster, without containers: pods bound to it run here as plain processes.

It does what a kubelet does as far as KServe and the product can see it: status, probes, back-off, termination, events,
logs. And it fails on demand. The words for that are in `orders.py`.
"""
