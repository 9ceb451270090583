"""The fake Hub, seen by the client that the world uses for the real one."""

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import HfApi, errors, hf_hub_download

from tests.hub.fake import FakeHub, blob_sha1

FILES = {"config.json": b"{}", "deep/model.gguf": b"GGUF" * 1000}


@pytest.fixture
def hub() -> object:
    with FakeHub(page=1) as hub:
        yield hub


def test_revision_names_the_commit_and_the_tree_its_files(hub: FakeHub) -> None:
    sha = hub.commit("org/model", FILES)
    api = HfApi(endpoint=hub.url, token=False)
    assert api.model_info("org/model", revision="main").sha == sha
    files = {item.path: item for item in api.list_repo_tree("org/model", recursive=True, revision=sha)}
    assert files["config.json"].blob_id == blob_sha1(b"{}")
    lfs = files["deep/model.gguf"].lfs
    assert lfs.sha256 == hashlib.sha256(FILES["deep/model.gguf"]).hexdigest() and lfs.size == 4000
    assert "deep" in files


@pytest.mark.parametrize("name", sorted(FILES))
def test_bytes_come_directly_or_by_the_cdn(hub: FakeHub, tmp_path: Path, name: str) -> None:
    hub.commit("org/model", FILES)
    path = hf_hub_download("org/model", name, endpoint=hub.url, token=False, local_dir=tmp_path)
    assert Path(path).read_bytes() == FILES[name]
    assert bool(hub.seen("cdn")) == name.endswith(".gguf")


def test_absent_hidden_and_gated_repositories_answer_as_the_real_one(hub: FakeHub) -> None:
    hub.commit("org/gated", FILES)
    hub.repos["org/gated"].gated = True
    for token in (False, "hf_good"):
        with pytest.raises(errors.RepositoryNotFoundError):
            HfApi(endpoint=hub.url, token=token).model_info("org/absent")
    anonymous, member = HfApi(endpoint=hub.url, token=False), HfApi(endpoint=hub.url, token="hf_good")
    with pytest.raises(errors.GatedRepoError):
        list(anonymous.list_repo_tree("org/gated", recursive=True))
    assert list(member.list_repo_tree("org/gated", recursive=True))
    with pytest.raises(errors.RevisionNotFoundError):
        member.model_info("org/gated", revision="v9")
