"""Where an entry's weights come from and where they lie: from text to checked values. Pure: no I/O."""

import re
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from model_manager.catalog.entry import HUB_NAME_PATTERN, Entry, SourceFile
from model_manager.errors import Unprocessable
from model_manager.weights.names import check_folder, shown

_HUB_NAME = re.compile(HUB_NAME_PATTERN)
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")


class HubSource(Struct, frozen=True):
    """A repository of the Hub at a branch, tag or commit; `pins`: files an entry names with their hashes."""

    repo: str
    revision: str | None = None
    pins: tuple[SourceFile, ...] = ()

    @property
    def uri(self) -> str:
        return f"hf://{self.repo}" + (f":{self.revision}" if self.revision else "")


class FileSource(Struct, frozen=True):
    """A file or folder: relative to the catalog's tree, or absolute where the operator allows it."""

    path: str
    pins: tuple[SourceFile, ...] = ()

    @property
    def uri(self) -> str:
        return f"file:{self.path}"


class WebSource(Struct, frozen=True):
    """Files behind `https:`, each with the SHA-256 the entry names."""

    url: str
    pins: tuple[SourceFile, ...]

    @property
    def uri(self) -> str:
        return self.url


WeightSource = HubSource | FileSource | WebSource


def flattened(model_id: str) -> str:
    """One folder name for an id: lower case, `/` and `_` become `-`, runs collapse. The original's rule.

    >>> flattened("Qwen/Qwen2.5_1.5B--Instruct")
    'qwen-qwen2.5-1.5b-instruct'
    """
    return re.sub(r"-+", "-", re.sub(r"[/_]", "-", model_id.lower())).strip("-")


def folder_of(entry: Entry) -> str:
    """Where an entry's weights lie below the root: the sub path of its `pvc://` URI, else its flattened id.

    An entry that picks files of a repository (`files`) goes by its own id: two quantisations of one
    repository must not share a folder. Raises InvalidRequest for a sub path that is no clean folder name.
    """
    uri = entry.storage_uri or ""
    if uri.startswith("pvc://"):
        sub_path = uri.removeprefix("pvc://").partition("/")[2].strip("/")
        if sub_path:
            return check_folder(sub_path)
    return check_folder(flattened(entry.id if entry.files or not entry.hf_model_id else entry.hf_model_id))


def parse_source(entry: Entry) -> WeightSource | None:
    """Where an entry's weights come from: its `source`, else an `hf://` storageUri, else its `hfModelId`.

    None when it names none of them. Raises Unprocessable when it names one that cannot be used.
    """
    if entry.source:
        return _parse_uri(entry.source.uri, entry.source.files, entry.hf_revision)
    if entry.storage_uri and entry.storage_uri.startswith("hf://"):
        return _parse_uri(entry.storage_uri, (), entry.hf_revision)
    if entry.hf_model_id:
        return _hub(entry.hf_model_id, entry.hf_revision, ())
    return None


def require_source(entry: Entry) -> WeightSource:
    """`parse_source`, or Unprocessable when the entry names no source at all."""
    source = parse_source(entry)
    if source is None:
        raise Unprocessable(
            f"No weights of {entry.id} are installed, and its entry names no source for them.",
            "Add `source` or `hfModelId` to the entry.",
        )
    return source


def _parse_uri(uri: str, pins: tuple[SourceFile, ...], revision: str | None) -> WeightSource:
    scheme, _, rest = uri.partition(":")
    if scheme == "hf" and rest.startswith("//"):
        repo, _, named = rest[2:].partition(":")
        return _hub(repo, named or revision, pins)
    if scheme == "file":
        return _file(uri, pins)
    if scheme in ("https", "http"):
        return _web(uri, pins)
    raise Unprocessable(
        f"The source {shown(uri)} has a scheme that weights cannot be installed from.",
        "Use `hf://owner/name[:revision]`, `https://…` with sha256, or `file:` with a path in the catalog.",
    )


def _hub(repo: str, revision: str | None, pins: tuple[SourceFile, ...]) -> HubSource:
    if not _HUB_NAME.fullmatch(repo) or ".." in repo:
        raise Unprocessable(f"{shown(repo)} is not a repository of the Hub.", "Write it as `owner/name`.")
    if revision is not None and (not _REVISION.fullmatch(revision) or ".." in revision):
        raise Unprocessable(f"{shown(revision)} is not a revision.", "Name a branch, a tag or a commit.")
    return HubSource(repo=repo, revision=revision, pins=pins)


def _file(uri: str, pins: tuple[SourceFile, ...]) -> FileSource:
    parts = urlsplit(uri)
    path = unquote(parts.path)
    if parts.netloc not in ("", "localhost"):
        raise Unprocessable(
            f"The source {shown(uri)} names another machine.",
            "A path in the catalog is written with one colon and no slashes: `file:weights/model.gguf`.",
        )
    if not path or "\0" in path:
        raise Unprocessable(f"The source {shown(uri)} names no file.")
    return FileSource(path=path, pins=pins)


def _web(uri: str, pins: tuple[SourceFile, ...]) -> WebSource:
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or "\\" in uri or not uri.isprintable() or " " in uri:
        raise Unprocessable(f"The source {shown(uri)} is not a web address.")
    if parts.username is not None or parts.password is not None:
        raise Unprocessable(
            f"The source at {host} holds a user name or password.", "Remove it from the catalog."
        )
    unhashed = [pin.path for pin in pins if pin.sha256 is None]
    if not pins or unhashed:
        which = shown(unhashed[0]) if unhashed else "its files"
        raise Unprocessable(
            f"The source {shown(uri)} gives no sha256 for {which}.",
            'List each file as `{"path": …, "sha256": …}` under `source.files`.',
        )
    return WebSource(url=uri, pins=pins)
