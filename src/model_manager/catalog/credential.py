"""A credential helper for git, a program of its own: `credential.py FILE PROTOCOL HOST get`.

Reads the token from FILE each time (so a rotated one is used at once) and gives it to git over a pipe, for the
one server that it is meant for: a redirect to another host gets nothing. Imports nothing of the house: it is
run by path.

FILE holds the token, or a user name and the token on two lines, or lines `username=…` and `token=…`.
"""

import sys
from pathlib import Path


def read(text: str) -> tuple[str, str]:
    """User name and token from the text of a credentials file; empty strings when there is none."""
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    named = {}
    for line in lines:
        for name in ("username", "token", "password"):
            if line.lower().startswith(name) and line[len(name) :].lstrip()[:1] in ("=", ":"):
                named[name] = line[len(name) :].lstrip()[1:].strip()
    if named:
        return named.get("username", "x-access-token"), named.get("token", named.get("password", ""))
    if len(lines) == 2:
        return lines[0], lines[1]
    # any user name will do beside a token at GitHub, GitLab and Gitea; this one is GitHub's own
    return ("x-access-token", lines[0]) if len(lines) == 1 else ("", "")


def main(arguments: list[str]) -> int:
    """Answer git's question on the standard input, if it is about our server."""
    file, protocol, host, verb = arguments
    asked = dict(line.split("=", 1) for line in sys.stdin.read().splitlines() if "=" in line)
    if verb != "get" or (asked.get("protocol"), asked.get("host")) != (protocol, host):
        return 0
    username, token = read(Path(file).read_text())
    if token:
        sys.stdout.write(f"username={username}\npassword={token}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
