"""What lies in `deploy/argocd/`, run on what real servers told and on the objects that the chart renders."""
