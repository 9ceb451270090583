"""The command line: a client of the HTTP API. Only `serve` and `quickstart` import the service itself.

Nothing here decides anything about models: a command asks the service and shows what it says.
"""

from model_manager.cli.entry import main

__all__ = ["main"]
