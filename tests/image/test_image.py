"""The image as `make image` builds it: small, without tools, at home in a read-only pod without rights."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

import model_manager
from tests.image.building import ROOT, Builder, Image
from tests.image.conftest import LIMITS, TAGS
from tests.image.pods import USER, Pod, pod
from tests.waiting import until_sync

TOKEN = "an-administrators-token"
PACKAGES = "opt/model-manager/lib/python3.13/site-packages"

# What would build, install or fetch programs for an intruder, had the image one of them.
TOOLS = re.compile(
    r"(.*-)?(gcc|g\+\+|cc|c\+\+|cpp|ld|as|clang|make|cmake|cargo|rustc|go|pip|uv|wget|curl)(-?[\d.]+)?"
)


def owned(folder: Path, user: int = USER) -> Path:
    """A volume that belongs to `user`."""
    folder.mkdir()
    os.chown(folder, user, user)
    return folder


def healthy(running: Pod) -> bool:
    """A request inside the pod, whose network is its own."""
    ask = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8080/healthz').status)"
    return running.run("python3", "-c", ask).stdout.strip() == "200"


def test_it_is_smaller_than_its_limit(image: Image, target: str) -> None:
    assert image.megabytes < LIMITS[target]


def test_it_says_what_it_is_and_runs_as_a_user_without_a_name_elsewhere(image: Image) -> None:
    labels = {name.rpartition(".")[2]: value for name, value in image.config["Labels"].items()}
    assert image.config["User"] == "65532:65532"
    assert labels["version"] == model_manager.__version__
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert labels["licenses"] == "Apache-2.0"


def test_it_has_nothing_to_build_or_install_with(image: Image) -> None:
    folders = ["usr/bin", "usr/sbin", "usr/libexec", "usr/local/bin", "opt/model-manager/bin"]
    names = {path.name for folder in folders for path in (image.files / folder).glob("*")}
    assert {name for name in names if TOOLS.fullmatch(name)} == set()
    found = {
        path.name
        for folder in (PACKAGES, "usr/lib/python3/dist-packages")
        for path in (image.files / folder).glob("*")
    }
    assert found & {"pip", "setuptools", "wheel", "hatchling"} == set()
    assert not (image.files / "usr/lib/python3.13/ensurepip/__init__.py").exists()


def test_no_pth_file_runs_code_at_every_start_of_python(image: Image) -> None:
    """The way by which a hijacked release of litellm ran (1.82.7)."""
    assert [str(path) for path in image.files.rglob("*.pth")] == []


def test_its_files_are_nobodys_but_roots_except_for_two_folders(image: Image) -> None:
    mine = [path for path in image.files.rglob("*") if not path.is_symlink() and path.stat().st_uid == USER]
    assert {str(path.relative_to(image.files)) for path in mine} == {"app/state", "mnt/models"}


def test_no_secret_of_the_build_is_left_in_it(image: Image) -> None:
    assert not (image.files / "etc/pip.conf").exists()
    assert not (image.files / "run/secrets").exists()
    assert "PIP_" not in json.dumps([image.config, image.history])


def test_the_quickstarts_check_runs_in_it_read_only_and_without_a_network(
    full: Image, tmp_path: Path
) -> None:
    with pod(full, tmp_path / "quickstart", "quickstart", "--check") as running:
        assert running.wait() == 0, running.said
    assert "Everything is stopped again" in running.said


def test_its_first_process_has_no_rights_and_cannot_write(image: Image, target: str, tmp_path: Path) -> None:
    look = "grep -E '^(Uid|Gid|CapBnd|CapEff|NoNewPrivs|Seccomp):' /proc/self/status; touch /app/x /opt/x"
    with pod(image, tmp_path / f"rights-{target}", "-c", look, entrypoint=["sh"]) as running:
        running.wait()
    status = dict(re.findall(r"^(\w+):\s+(\S+)", running.said, re.MULTILINE))
    assert status["Uid"] == status["Gid"] == "65532"
    assert int(status["CapBnd"], 16) == int(status["CapEff"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert running.said.count("Read-only file system") == 2


def test_without_a_token_it_does_not_start_and_says_so(image: Image, target: str, tmp_path: Path) -> None:
    with pod(image, tmp_path / f"closed-{target}", *image.config["Cmd"]) as running:
        assert running.wait() == 78
    assert "MODEL_MANAGER_API_TOKEN" in running.said


@pytest.mark.parametrize("user", [USER, 0, 1000850000], ids=["its own user", "root", "any user"])
def test_it_serves_from_volumes_of_the_user_it_runs_as(
    image: Image, target: str, user: int, tmp_path: Path
) -> None:
    """Volumes that the original wrote are root's; OpenShift gives each namespace a user."""
    volumes = {"/app/state": owned(tmp_path / "state", user), "/mnt/models": owned(tmp_path / "models", user)}
    env = {"MODEL_MANAGER_API_TOKEN": TOKEN, "WEIGHTS_STORAGE_PATH": "/mnt/models"}
    name = f"serve-{target}-{user}"
    with pod(image, tmp_path / name, *image.config["Cmd"], env=env, volumes=volumes, user=user) as running:
        until_sync(lambda: running.ended or healthy(running), timeout=60)
        told = running.run("model-manager", "status")
        assert told.returncode == 0, f"{told.stdout}{told.stderr}{running.said}"
        assert "active-llm" in told.stdout
        assert running.stop() == 0, running.said
    assert (tmp_path / "state/state.db").stat().st_uid == user


def test_without_an_engine_a_model_does_not_start_and_the_reason_is_told(slim: Image, tmp_path: Path) -> None:
    with pod(slim, tmp_path / "no-engine", "quickstart", "--check") as running:
        assert running.wait() != 0
    assert "There is no engine here to serve the model with" in running.said, running.said
    assert "image without `-slim`" in running.said, running.said


def test_git_and_ssh_work_for_its_user_and_authorities_are_there(
    image: Image, target: str, tmp_path: Path
) -> None:
    """An address without a network: what fails is the name, not the program."""
    tries = (
        "git ls-remote https://models.invalid/catalog.git; git ls-remote ssh://git@models.invalid/catalog.git; "
        "python3 -c 'import ssl; print(len(ssl.create_default_context().get_ca_certs()) > 100)'"
    )
    with pod(image, tmp_path / f"git-{target}", "-c", tries, entrypoint=["sh"]) as running:
        running.wait()
    assert "Could not resolve host: models.invalid" in running.said, running.said
    assert "Could not resolve hostname models.invalid" in running.said, running.said
    assert running.said.rstrip().endswith("True")


def test_no_module_is_compiled_at_a_start(image: Image, target: str, tmp_path: Path) -> None:
    """The root file system cannot keep the result, so every start would do it again."""
    command = ["-v", "-c", "import model_manager.app, model_manager.cli.program, lightkube, huggingface_hub"]
    with pod(image, tmp_path / f"bytecode-{target}", *command, entrypoint=["python3"]) as running:
        assert running.wait() == 0, running.said
    assert "# code object from '" in running.said
    assert re.findall(r"# code object from '?(/\S+\.py)\b'?$", running.said, re.MULTILINE) == []


def test_its_sbom_is_valid_and_names_what_is_installed(image: Image, sbom: Path) -> None:
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator
    from packageurl import PackageURL

    text = sbom.read_text()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    found = [PackageURL.from_string(component["purl"]) for component in json.loads(text)["components"]]
    assert [purl.to_string() for purl in found] == [c["purl"] for c in json.loads(text)["components"]]
    query = ["dpkg-query", f"--admindir={image.files}/var/lib/dpkg", "-W", "-f=${Package} ${Version}\n"]
    packages = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    assert sorted(f"{p.name} {p.version}" for p in found if p.type == "deb") == sorted(packages)
    names = {path.name.split("-")[0].lower().replace("_", "-").replace(".", "-")
             for path in (image.files / PACKAGES).glob("*.dist-info")}  # fmt: skip
    assert {p.name for p in found if p.type == "pypi"} == names
    assert ("xllamacpp" in names) == ("slim" not in sbom.name)


def test_building_it_again_gives_the_same_layers(builder: Builder, full: Image) -> None:
    """On the same base, from the same Debian packages, at the same time (SOURCE_DATE_EPOCH, else the commit's)."""
    sboms = {
        path: path.read_bytes()
        for path in (ROOT / f"dist/model-manager-{tag}.cdx.json" for tag in TAGS.values())
    }
    builder.make("localhost/again", "--no-cache")
    with builder.opened(f"localhost/again:{TAGS['full']}") as again:
        if again.layers != full.layers:
            one, two = full.members(), again.members()
            pytest.fail(str(sorted(name for name in one | two if one.get(name) != two.get(name))[:50]))
    assert {path: path.read_bytes() for path in sboms} == sboms
