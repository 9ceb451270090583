"""Which Git URLs may be used, and how they may be shown. Pure."""

import re
from urllib.parse import urlsplit

from model_manager.errors import SettingsError

_SCP_LIKE = re.compile(r"(?:([A-Za-z0-9._-]+)@)?([A-Za-z0-9._-]+):(?!/)(\S+)")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def checked_url(url: str, with_credentials: bool) -> str:
    """The URL as it may be shown. Raises SettingsError, which never repeats a password."""
    how = "Use https://host/path, ssh://user@host/path, user@host:path, file:///path or a path."
    if url.startswith("/") and "\0" not in url:
        return url
    if url.startswith("-") or any(char.isspace() or char < " " for char in url):
        raise SettingsError("The catalog's Git URL begins with `-` or has white space in it.", how)
    if "://" not in url:
        if _SCP_LIKE.fullmatch(url) and "::" not in url:
            return url
        raise SettingsError("The catalog's Git URL is not one that may be used.", how)
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise SettingsError("The catalog's Git URL cannot be read.", how) from error
    if parts.scheme not in ("https", "http", "ssh", "file") or "::" in url.partition("://")[0]:
        raise SettingsError(f"A catalog cannot be fetched by {parts.scheme[:20]}://.", how)
    if parts.password or (parts.username and parts.scheme in ("https", "http")):
        raise SettingsError(
            "The catalog's Git URL holds a user name or password.",
            "Put the token into a file and name it by MODEL_MANAGER_CATALOG_CREDENTIALS_FILE.",
        )
    if host.startswith("-") or (parts.username or "").startswith("-"):
        raise SettingsError("The host of the catalog's Git URL begins with `-`.", how)
    if parts.scheme == "http" and with_credentials and host not in _LOOPBACK:
        raise SettingsError(
            "The token would go over http, where anybody on the way can read it.", "Use https."
        )
    if parts.scheme == "file" and host not in ("", "localhost"):
        raise SettingsError("A file: URL names a path on this machine: file:///path.", how)
    return url.partition("?")[0]
