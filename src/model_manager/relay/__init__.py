"""HTTP/1.1 to model servers: small, pooled, cancellable. Knows nothing of models, slots or tokens."""

from model_manager.relay.client import Relay
from model_manager.relay.head import Prepared, prepare
from model_manager.relay.response import Response

__all__ = ["Prepared", "Relay", "Response", "prepare"]
