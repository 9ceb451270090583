"""The typed Python client of the HTTP API, sync and async. It knows the API's shapes and nothing of the service."""
