"""Who is asking: the static token and those that were issued. What a request needs is decided in `http/`, not here."""

from model_manager.tokens.failures import Failures
from model_manager.tokens.identity import Ended, Identity, Keyring, Scope, anonymous
from model_manager.tokens.issued import Created, TokenInfo, Tokens
from model_manager.tokens.static import TokenFile

__all__ = [
    "Created",
    "Ended",
    "Failures",
    "Identity",
    "Keyring",
    "Scope",
    "TokenFile",
    "TokenInfo",
    "Tokens",
    "anonymous",
]
