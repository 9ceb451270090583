"""Names from outside: an entry's, a request's, a hub's file list. Pure: no file system.

Each passes `check_name` or `check_folder` before it is joined to anything.
"""

import re
import unicodedata
from collections.abc import Iterable

from model_manager.errors import InvalidRequest

MANIFEST_NAME = ".weights.json"
"""The weights manifest, beside the files it lists."""

MAX_DEPTH = 4
"""Folders deeper than this are refused, so that listing the root stays a short walk."""

RESERVED = frozenset({"modules", "lost+found"})
"""First-level names that are never weights: the original's cache of code, the file system's own folder."""

_SHARD = re.compile(r"(?P<stem>.+-)(?P<number>\d{5})-of-(?P<count>\d{5})(?P<end>\.[a-z]+)")


def check_name(name: str) -> str:
    """The relative file name itself, when it is harmless on every platform; InvalidRequest otherwise."""
    reason = _fault(name)
    if reason:
        raise InvalidRequest(
            f"The name {shown(name)} {reason}.", "Names stay below the folder they belong to."
        )
    return name


def check_folder(name: str) -> str:
    """The name of a folder of weights below the root, checked; InvalidRequest otherwise."""
    parts = check_name(name).split("/")
    hint = "Choose a folder such as `qwen2.5-1.5b` or `openai/gpt-oss-120b`."
    if any(part.startswith(".") for part in parts) or parts[0] in RESERVED:
        raise InvalidRequest(f"The folder name {shown(name)} is reserved.", hint)
    if len(parts) > MAX_DEPTH:
        raise InvalidRequest(f"The folder {shown(name)} lies deeper than {MAX_DEPTH} levels.", hint)
    return name


def _fault(name: str) -> str:
    """Why a relative name is refused, or ""."""
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    parts = name.split("/")
    if not name:
        return "is empty"
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in name):
        return "holds a control character"
    if "\\" in name or re.match(r"[A-Za-z]:", name):
        return "is a Windows path"
    if name.startswith("/"):
        return "is an absolute path"
    if ".." in parts:
        return "leads out of its folder"
    if "" in parts or "." in parts:
        return "holds an empty part"
    if any(part.startswith("-") for part in parts):
        return "starts like a command's option"
    if any(part != part.strip() for part in parts):
        return "starts or ends with a blank"
    if len(encoded) > 1024 or any(len(part.encode()) > 255 for part in parts):
        return "is longer than a file system allows"
    return ""


def shown(name: str) -> str:
    """A name from outside, made fit for a sentence: escaped, in quotes, at most 80 characters."""
    text = ascii(name) if not name.isprintable() else f"'{name}'"
    return text if len(text) <= 80 else text[:77] + "…'"


def check_files(paths: Iterable[str]) -> None:
    """Refuse a file list with a hostile name, or with two names that some file system takes for one."""
    seen: dict[str, str] = {}
    for path in paths:
        check_name(path)
        key = unicodedata.normalize("NFC", path).casefold()
        if key.split("/")[0] == MANIFEST_NAME:
            raise InvalidRequest(
                f"The source holds a file {MANIFEST_NAME}, a name kept for the weights manifest."
            )
        if key in seen:
            raise InvalidRequest(
                f"The files {shown(seen[key])} and {shown(path)} differ only in case or spelling."
            )
        seen[key] = path
    for path in seen:
        parents = path.split("/")[:-1]
        for depth in range(1, len(parents) + 1):
            if "/".join(parents[:depth]) in seen:
                raise InvalidRequest(f"{shown(seen[path])} lies below a name that is itself a file.")


def missing_shards(paths: Iterable[str]) -> list[str]:
    """For each model split into `…-00002-of-00003.ext` that is not listed whole: its first missing part."""
    groups: dict[tuple[str, str, str], set[int]] = {}
    for path in paths:
        if match := _SHARD.fullmatch(path):
            groups.setdefault((match["stem"], match["count"], match["end"]), set()).add(int(match["number"]))
    missing = []
    for (stem, count, end), numbers in sorted(groups.items()):
        first = next(number for number in range(1, len(numbers) + 2) if number not in numbers)
        if first <= int(count):
            missing.append(f"{stem}{first:05}-of-{count}{end}")
    return missing
