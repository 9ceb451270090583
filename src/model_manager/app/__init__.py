"""The composition root: settings -> parts -> the ASGI application, its lifespan and its port.

The only room that imports every adapter, and with the command line the only one that reads the settings.
"""

from model_manager.app.service import RunningService, running, serve, stop_on_signals

__all__ = ["RunningService", "running", "serve", "stop_on_signals"]
