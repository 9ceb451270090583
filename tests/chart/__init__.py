"""The Helm chart: rendered by Helm itself, and held to what it promises. `make test-chart` runs what needs Helm."""
