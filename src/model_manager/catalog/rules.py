"""What the types cannot say about an entry: URIs, paths, names, and what a cluster would refuse later. Pure."""

import re
from collections.abc import Iterator

from model_manager.catalog.entry import HUB_NAME_PATTERN, ID_PATTERN, Entry, Source
from model_manager.catalog.explain import shown
from model_manager.catalog.problem import Report
from model_manager.catalog.scan import Path
from model_manager.catalog.suggest import did_you_mean

# what KServe 0.20 takes in a storageUri
STORAGE_SCHEMES = (
    "pvc", "hf", "s3", "gs", "https", "http", "hdfs", "webhdfs", "file", "oci", "oci+native", "oci+fetch", "modelscope",
)  # fmt: skip

_ID = re.compile(ID_PATTERN)
_HUB_NAME = re.compile(HUB_NAME_PATTERN)
_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}")
_OBJECT_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
ENV_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_QUANTITY = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(m|n|u|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+-]{0,254}")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(//)?")
# names that no Windows checkout can hold; a catalog is a Git repository for everybody
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")


def check(entry: Entry, report: Report) -> None:
    """Add what is wrong with a well-typed entry to the report."""
    _identity(entry, report)
    _weights(entry, report)
    _container(entry, report)
    for path, text in _rendered(entry):
        if "{{" in text:
            report.error(
                path,
                "holds `{{`, which KServe would execute as a template",
                "put chat templates into a file beside the weights or into a mounted ConfigMap",
            )


def _identity(entry: Entry, report: Report) -> None:
    if not _ID.fullmatch(entry.id):  # the pattern's `$` lets a final line feed pass
        report.error(("id",), "must end with a letter or digit, not with a line feed")
    if _DEVICES.fullmatch(entry.id):
        report.error(("id",), f"`{entry.id}` is a device name on Windows, where the file could not exist")
    stem = report.file.rpartition("/")[2].removesuffix(".json")
    if stem != entry.id and report.file.endswith(".json"):
        report.warn(
            ("id",),
            f"is `{entry.id}`, but the file is named `{stem}.json`",
            f"name the file `{entry.id}.json`, or give the entry the id `{stem}`",
        )
    names = {entry.id}
    for index, alias in enumerate(entry.aliases):
        if not _ALIAS.fullmatch(alias):
            report.error(
                ("aliases", index), f"{shown(alias)} is no name: use letters, digits and . _ : / @ + -"
            )
        elif alias in names:
            report.warn(("aliases", index), "is there already")
        names.add(alias)
    if entry.pooling and entry.task != "embed":
        report.warn(("pooling",), "has no effect without `task: embed`")


def _weights(entry: Entry, report: Report) -> None:
    if entry.hf_model_id and not _HUB_NAME.fullmatch(entry.hf_model_id):
        report.error(("hfModelId",), "must have the form owner/name")
    if entry.hf_revision is not None and not (
        _REVISION.fullmatch(entry.hf_revision) and ".." not in entry.hf_revision
    ):
        report.error(("hfRevision",), "must be a commit, branch or tag")
    if entry.storage_uri is not None and (fault := storage_uri_fault(entry.storage_uri)):
        report.error(("storageUri",), *fault)
    for index, pattern in enumerate(entry.files):
        if fault_text := path_fault(pattern):
            report.error(("files", index), fault_text)
    if entry.source:
        _source(entry.source, report)
    if not (entry.storage_uri or entry.hf_model_id or entry.source or entry.storage):
        report.warn((), "names no weights", "give `hfModelId`, `source` or `storageUri`")


def storage_uri_fault(uri: str) -> tuple[str, str] | None:
    """What is wrong with a `storageUri`, and a hint; None when KServe can take it."""
    match = _SCHEME.match(uri)
    if not uri or any(char.isspace() or char < " " for char in uri):
        return f"{shown(uri)} is no URI: it is empty or has white space", ""
    if not match or not match[2]:
        return f"{shown(uri)} has no scheme", "write pvc://claim/path, hf://owner/name, s3://bucket/path, …"
    scheme, rest = match[1], uri[match.end() :]
    if scheme not in STORAGE_SCHEMES:
        hint = did_you_mean(scheme, STORAGE_SCHEMES) or "one of " + ", ".join(STORAGE_SCHEMES)
        return f"`{scheme[:30]}://` is no scheme that KServe can fetch weights from", hint
    if not rest.strip("/"):
        return f"{shown(uri)} names nothing behind `{scheme}://`", ""
    if "@" in rest.split("/")[0] and scheme != "hf":
        return "holds a user name or password", "put credentials into a secret, never into the catalog"
    if scheme == "pvc":
        return _pvc_fault(rest)
    if scheme == "hf" and not _HUB_NAME.fullmatch(rest.split(":")[0]):
        return f"{shown(uri)} must have the form hf://owner/name[:revision]", ""
    return None


def _pvc_fault(rest: str) -> tuple[str, str] | None:
    claim, _, folder = rest.partition("/")
    if not _OBJECT_NAME.fullmatch(claim):
        return f"{shown(claim)} cannot be the name of a claim", "the form is pvc://claim/path"
    if folder.strip("/") and (fault := path_fault(folder.rstrip("/"))):
        return fault, "the path is one inside the claim"
    return None


def path_fault(path: str) -> str | None:
    """Why a path or pattern from the catalog may leave the folder it is meant for; None when it stays inside."""
    if not path or "\0" in path or "\\" in path or any(char < " " for char in path):
        return f"{shown(path)} is no path: it is empty or has control characters or backslashes"
    parts = path.split("/")
    if path.startswith(("/", "~")):
        return f"{shown(path)} must be a relative path"
    if ".." in parts:
        return f"{shown(path)} must not leave its folder by `..`"
    if "" in parts or "." in parts:
        return f"{shown(path)} has an empty part"
    if any(len(part.encode()) > 255 for part in parts) or len(path.encode()) > 1024:
        return f"{shown(path)} is too long for a file system"
    return None


def _source(source: Source, report: Report) -> None:
    at: Path = ("source", "uri")
    match = _SCHEME.match(source.uri)
    scheme = match[1] if match else ""
    if any(char.isspace() for char in source.uri):
        report.error(at, "has white space in it", "write %20 for a blank")
    elif scheme == "file":
        _file_source(source.uri.removeprefix("file:"), report)
    elif scheme == "hf" and match:
        if not _HUB_NAME.fullmatch(re.split("[:@]", source.uri[match.end() :])[0]):
            report.error(at, f"{shown(source.uri)} must have the form hf://owner/name[:revision]")
    elif scheme == "https":
        _https_source(source, report)
    elif scheme == "http":
        report.error(at, "must be https: what comes over http can be changed on its way", "write https://")
    else:
        hint = "write file:weights/my-model, https://host/path or hf://owner/name"
        report.error(at, f"{shown(source.uri)} is neither file:, https: nor hf://", hint)
    for index, file in enumerate(source.files):
        if fault := path_fault(file.path):
            report.error(("source", "files", index, "path"), fault)


def _file_source(path: str, report: Report) -> None:
    at: Path = ("source", "uri")
    if path.startswith("/"):  # absolute: which folders are allowed is asked when the weights are installed
        host = path.removeprefix("//").partition("/")[0] if path.startswith("//") else ""
        if host not in ("", "localhost"):
            report.error(
                at,
                f"names the host {shown(host)}",
                "write file:///path for an absolute path, file:path for one in the catalog",
            )
        elif ".." in path.split("/"):
            report.error(at, "must not hold `..`")
    elif fault := path_fault(path.rstrip("/")):
        report.error(at, fault, "a relative file: path lies inside the catalog")


def _https_source(source: Source, report: Report) -> None:
    host = source.uri.removeprefix("https://").split("/")[0]
    if not source.uri.startswith("https://") or not host:
        report.error(("source", "uri"), f"{shown(source.uri)} names no host", "write https://host/path")
    if "@" in host:
        report.error(
            ("source", "uri"), "holds a user name or password", "never put credentials into the catalog"
        )
    if not source.files:
        report.error(("source",), "lists no files", "an https source needs `files`, each with its `sha256`")
    for index, file in enumerate(source.files):
        if not file.sha256:
            report.error(
                ("source", "files", index),
                "has no `sha256`",
                "run `sha256sum` on the file: it is how a download is verified",
            )


def _container(entry: Entry, report: Report) -> None:
    if entry.runtime is not None and not _OBJECT_NAME.fullmatch(entry.runtime):
        report.error(("runtime",), f"{shown(entry.runtime)} cannot be the name of a ServingRuntime")
    names: set[str] = set()
    for index, variable in enumerate(entry.env):
        if not ENV_NAME.fullmatch(variable.name):
            report.error(
                ("env", index, "name"),
                f"{shown(variable.name)} cannot be the name of an environment variable",
            )
        if variable.value is not None and variable.value_from is not None:
            report.error(("env", index), "has both `value` and `valueFrom`", "keep one")
        if variable.name in names:
            report.warn(("env", index, "name"), f"`{variable.name}` is there already; the last one counts")
        names.add(variable.name)
    for group in ("requests", "limits"):
        for name, quantity in getattr(entry.resources, group, {}).items():
            if not _QUANTITY.fullmatch(quantity):
                hint = "as in 500m, 2, 16Gi"
                report.error(("resources", group, name), f"{shown(quantity)} is no Kubernetes quantity", hint)


def _rendered(entry: Entry) -> Iterator[tuple[Path, str]]:
    """All strings that end up in the container, whose JSON KServe runs through Go's html/template."""
    for index, variable in enumerate(entry.env):
        yield ("env", index, "name"), variable.name
        yield ("env", index, "value"), variable.value or ""
    for index, argument in enumerate(entry.args):
        yield ("args", index), argument
    if entry.vllm:
        yield ("vllm", "dtype"), entry.vllm.dtype or ""
        for index, argument in enumerate(entry.vllm.extra_args):
            yield ("vllm", "extraArgs", index), argument
    yield ("servedModelName",), entry.served_model_name or ""
    for index, mount in enumerate(entry.volume_mounts):
        yield ("volumeMounts", index), str(mount.get("mountPath", ""))
