"""Typed routes, OpenAPI, bearer auth, problems and server-sent events. No route of the product lives here."""
