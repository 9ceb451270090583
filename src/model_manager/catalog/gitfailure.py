"""What git says when it fails, and what that means for who reads our status. Pure."""

import re

from model_manager.errors import Unavailable

_CREDENTIALS = "Put a token that may read the repository into the credentials file."
_KEY = "Use a credentials file that holds a key the server knows."
_KNOWN_HOSTS = "Add it to the known_hosts file of the user the service runs as."
_NETWORK = "Check the URL and the network."
_TRUST = "Check the server's certificate and the machine's trusted authorities."
_OWNER = "Run `git config --global --add safe.directory PATH` as the service's user."

# the first pattern that is found counts
_MEANINGS = (
    (
        r"Authentication failed|could not read (Username|Password)|Access denied|returned error: 40[13]",
        "the server wants credentials or refused them",
        _CREDENTIALS,
    ),
    (r"Permission denied \(|Load key", "the server refused the SSH key", _KEY),
    (r"Host key verification failed", "the server's SSH host key is not known", _KNOWN_HOSTS),
    (r"Could not resolve host", "the server's name cannot be resolved", _NETWORK),
    (
        r"Connection (refused|timed out|reset)|Failed to connect|unable to connect|Network is unreachable|No route to",
        "the server cannot be reached",
        _NETWORK,
    ),
    (r"SSL|certificate|gnutls", "the TLS connection failed", _TRUST),
    (
        r"couldn't find remote ref|no such ref|unadvertised object|not our ref",
        "the branch, tag or commit does not exist there",
        "Check the ref that is to be followed.",
    ),
    (r"dubious ownership", "the repository belongs to another user", _OWNER),
    (
        r"[Rr]epository.* not found|does not appear to be a git repository|not found|does not exist|error: 404",
        "there is no such repository, or it is not visible without credentials",
        "Check the URL, and the credentials file if it is private.",
    ),
    (r"No space left", "the disk is full", "Make room where the state folder lies (STATE_PATH)."),
    (r"transport '.*' not allowed", "this kind of URL is not allowed", "Use https, ssh or file."),
)


class GitFailed(Unavailable):
    """Git could not do it; `stderr` is what it said, without credentials."""

    def __init__(self, sentence: str, hint: str = "", stderr: str = "") -> None:
        super().__init__(sentence, hint)
        self.stderr = stderr


def failure(verb: str, stderr: str) -> GitFailed:
    """The error for what git printed when it failed."""
    said = redacted(stderr)
    for pattern, meaning, hint in _MEANINGS:
        if re.search(pattern, said):
            return GitFailed(f"{meaning[0].upper()}{meaning[1:]}.", hint, said)
    lines = [line for line in said.splitlines() if line.startswith(("fatal:", "error:"))] or said.splitlines()
    return GitFailed(f"git {verb} failed: {lines[0][:300] if lines else 'it gave no reason'}", "", said)


def redacted(text: str) -> str:
    """Text without the user names and passwords of URLs in it."""
    return re.sub(r"(://)[^/@\s]+@", r"\1", text)
