"""The OpenAI-compatible front of the slots. Bytes pass as they come; nothing here starts or stops a model."""

from model_manager.gateway.described import described
from model_manager.gateway.routes import routes
from model_manager.gateway.shapes import error_response
from model_manager.gateway.shortcut import Shortcut
from model_manager.serving.targets import Target, Targets

__all__ = ["Shortcut", "Target", "Targets", "described", "error_response", "routes"]
