"""The command line: a client of the HTTP API. Only `serve` and `quickstart` import the service itself."""
