"""A repository of the Hub -> a plan: one commit, its files with sizes and hashes. Metadata only, no bytes.

huggingface_hub is imported inside the function: it takes its time, and only the worker process may pay it.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

from model_manager.errors import (
    Forbidden,
    ModelManagerError,
    NotFound,
    Unprocessable,
    UpstreamError,
)
from model_manager.listening import is_loopback
from model_manager.weights.fetch import check_url, origin_of
from model_manager.weights.names import shown
from model_manager.weights.plan import Access, Plan, PlannedFile, chosen
from model_manager.weights.uri import HubSource

DEFAULT_ENDPOINT = "https://huggingface.co"
METADATA_TIMEOUT = 30.0

_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def plan_hub(
    source: HubSource,
    patterns: tuple[str, ...],
    *,
    endpoint: str = DEFAULT_ENDPOINT,
    token: str | None = None,
    allow_http: bool = False,
) -> Plan:
    """Ask the Hub once which commit the revision is, and plan every file from that commit.

    A branch that moves meanwhile changes nothing. `token` is sent to `endpoint` alone. Raises Forbidden,
    NotFound, UpstreamError or Unprocessable with a sentence.
    """
    from huggingface_hub import HfApi
    from huggingface_hub.hf_api import RepoFile

    endpoint = endpoint.rstrip("/")
    origin = origin_of(endpoint)
    allow_http = allow_http or (origin[0] == "http" and is_loopback(origin[1]))  # a mirror on this machine
    check_url(endpoint, allow_http)
    # token=False: without one of ours, huggingface_hub must not pick up one that lies on this machine
    api = HfApi(endpoint=endpoint, token=token or False)
    with _in_words(source, endpoint, token):
        info = api.model_info(source.repo, revision=source.revision or "main", timeout=METADATA_TIMEOUT)
        commit = info.sha or ""
        if not _COMMIT.fullmatch(commit):
            raise UpstreamError(f"The Hub named no commit for {source.uri}.", retryable=False)
        tree = api.list_repo_tree(source.repo, recursive=True, revision=commit)
        base = f"{endpoint}/{source.repo}/resolve/{commit}/"
        files = [_planned(item, base) for item in tree if isinstance(item, RepoFile)]
    files = _pinned(files, source)
    record: dict[str, Any] = {"uri": source.uri}
    if patterns:
        record["files"] = list(patterns)
    if endpoint != DEFAULT_ENDPOINT:
        record["endpoint"] = endpoint
    return Plan(
        source=record,
        revision=commit,
        files=chosen(files, patterns, source.repo),
        access=Access(origin=origin, token=token, commit=commit, allow_http=allow_http),
    )


def _planned(item: Any, base: str) -> PlannedFile:
    """One file of the listing. What the Hub says is data: types and shapes are checked here."""
    sha256 = item.lfs.sha256 if item.lfs else None
    blob = None if item.lfs else item.blob_id
    size = item.lfs.size if item.lfs else item.size
    hashed = _SHA256.fullmatch(sha256) if sha256 is not None else _COMMIT.fullmatch(item.blob_id)
    if not isinstance(size, int) or size < 0 or not hashed:
        raise UpstreamError(
            f"The Hub lists {shown(item.path)} without a usable size and hash.", retryable=False
        )
    return PlannedFile(path=item.path, size=size, sha256=sha256, git_sha1=blob, url=base + quote(item.path))


def _pinned(files: list[PlannedFile], source: HubSource) -> list[PlannedFile]:
    """Where the entry names files with hashes, those alone, and the Hub must agree."""
    if not source.pins:
        return files
    listed = {file.path: file for file in files}
    result = []
    for pin in source.pins:
        file = listed.get(pin.path)
        if file is None:
            raise Unprocessable(f"{source.repo} has no file {shown(pin.path)}, which the entry names.")
        for what, want, got in (("sha256", pin.sha256, file.sha256), ("size", pin.size, file.size)):
            if want is not None and got is not None and want != got:
                raise Unprocessable(
                    f"{shown(pin.path)} of {source.repo} has another {what} than the entry names: "
                    f"wanted {want}, the Hub says {got}.",
                    "Correct the entry, or name the revision it was written for.",
                )
        result.append(_with_sha256(file, pin.sha256))
    return result


def _with_sha256(file: PlannedFile, sha256: str | None) -> PlannedFile:
    return PlannedFile(
        path=file.path, size=file.size, sha256=file.sha256 or sha256, git_sha1=file.git_sha1, url=file.url
    )


@contextmanager
def _in_words(source: HubSource, endpoint: str, token: str | None) -> Iterator[None]:
    """Turn huggingface_hub's exceptions into ours. Their texts hold URLs and advice about its own commands."""
    from huggingface_hub import errors

    try:
        yield
    except ModelManagerError:
        raise
    except errors.GatedRepoError as error:
        raise Forbidden(
            f"{source.repo} is gated on the Hub"
            + (", and the token has no access to it." if token else ", and no token is set."),
            f"Accept its terms at {DEFAULT_ENDPOINT}/{source.repo} and set a token of that account.",
            retryable=False,
        ) from error
    except errors.RevisionNotFoundError as error:
        raise NotFound(
            f"{source.repo} has no revision {shown(source.revision or 'main')}.",
            "Name a branch, a tag or a commit of that repository.",
            retryable=False,
        ) from error
    except errors.RepositoryNotFoundError as error:
        raise NotFound(
            f"The Hub shows no repository {source.repo}"
            + (" to this token." if token else " without a token."),
            "Check the spelling. A private repository needs a Hugging Face token that may read it.",
            retryable=False,
        ) from error
    except errors.HfHubHTTPError as error:
        raise _status_error(source, error.response.status_code) from error
    except errors.HFValidationError as error:
        raise Unprocessable(f"{shown(source.repo)} is not a repository of the Hub.") from error
    except Exception as error:  # its HTTP library's own tree, and whatever a malformed answer trips over
        raise UpstreamError(
            f"The Hub at {endpoint} could not be asked about {source.repo} ({type(error).__name__}).",
            "Check the network and HF_ENDPOINT, then retry.",
            retryable=True,
        ) from error


def _status_error(source: HubSource, status: int) -> ModelManagerError:
    if status in (401, 403):
        return Forbidden(
            f"The Hub refused {source.repo} ({status}).",
            "Set a Hugging Face token that may read this repository.",
            retryable=False,
        )
    again = status >= 500 or status == 429
    return UpstreamError(
        f"The Hub answered {status} for {source.repo}.", "Retry later." if again else "", retryable=again
    )
