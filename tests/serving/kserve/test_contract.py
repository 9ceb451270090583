"""The contract of platforms, on KServe's adapter over the fake API server."""

from tests.serving.platform_contract import PlatformContract


class TestKServePlatform(PlatformContract):
    """The `platform` fixture is this folder's."""
