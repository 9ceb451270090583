"""The management API: one file per noun; each route parses, calls one command or reader, shapes a typed reply."""

from model_manager.web.routes import routes

__all__ = ["routes"]
