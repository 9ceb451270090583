"""`catalog check --format`, `catalog fmt`, and both as hooks of a catalog repository."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.cli.conftest import Run

UGLY = '{"hfModelId": "owner/name", "id": "a"}'
NEAT = '{\n  "id": "a",\n  "hfModelId": "owner/name"\n}\n'
BROKEN = '{"id": "a", "id": "b"}'


@pytest.fixture
def models(tmp_path: Path) -> Path:
    folder = tmp_path / "catalog" / "models"
    folder.mkdir(parents=True)
    return folder


def test_github_and_gitlab_name_the_file_by_its_place_in_the_repository(
    run: Run, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (models / "a.json").write_text('{"id": "a", "hfModelId": 7}')
    monkeypatch.chdir(models.parent.parent)
    code, out, _ = run("catalog", "check", "catalog", "--format", "github")
    assert (code, out.startswith("::error file=catalog/models/a.json,line=1,col=26::hfModelId: ")) == (
        1,
        True,
    )
    _, out, _ = run("catalog", "check", "./catalog/models/a.json", "--format", "gitlab")
    assert json.loads(out)[0]["location"]["path"] == "catalog/models/a.json"
    _, out, _ = run("catalog", "check", "catalog", "--format", "json")
    assert json.loads(out)["problems"][0]["file"] == "models/a.json"


def test_without_problems_a_report_is_still_a_report(run: Run, models: Path) -> None:
    (models / "a.json").write_text(NEAT)
    assert run("catalog", "check", str(models.parent), "--format", "gitlab").out == "[]\n"


def test_fmt_says_what_it_changed_and_the_second_time_nothing(run: Run, models: Path) -> None:
    (models / "a.json").write_text(UGLY)
    code, out, err = run("catalog", "fmt", str(models.parent))
    assert (code, out, err) == (0, f"changed {models}/a.json\n", "1 file, 1 changed.\n")
    assert (models / "a.json").read_text() == NEAT
    assert run("catalog", "fmt", str(models.parent)) == (0, "", "1 file, 0 changed.\n")


def test_fmt_check_changes_nothing(run: Run, models: Path) -> None:
    (models / "a.json").write_text(UGLY)
    code, out, _ = run("catalog", "fmt", "--check", str(models.parent))
    assert (code, out) == (1, f"would change {models}/a.json\n")
    assert (models / "a.json").read_text() == UGLY


def test_fmt_leaves_what_is_broken_and_says_where(run: Run, models: Path) -> None:
    (models / "a.json").write_text(BROKEN)
    (models / "b.json").write_text(UGLY)
    code, out, err = run("catalog", "fmt", str(models / "a.json"), str(models / "b.json"))
    assert code == 1
    assert out.startswith(f"{models}/a.json:1:13: error: id: is there twice")
    assert err == "2 files, 1 changed, 1 broken.\n"
    assert (models / "a.json").read_text() == BROKEN


def hooks() -> dict[str, dict[str, object]]:
    return {hook["id"]: hook for hook in yaml.safe_load(Path(".pre-commit-hooks.yaml").read_text())}


@pytest.mark.parametrize(
    ("hook", "content", "code"),
    [
        ("catalog-check", NEAT, 0),
        ("catalog-check", BROKEN, 1),
        ("catalog-fmt", UGLY, 0),
        ("catalog-fmt", BROKEN, 1),
    ],
)
def test_the_hooks_run_as_pre_commit_runs_them(hook: str, content: str, code: int, models: Path) -> None:
    """At the repository's root, with the names of the files in the commit unless it wants none."""
    told = hooks()[hook]
    assert told["language"] == "python"
    (models / "a.json").write_text(content)
    names = [] if told.get("pass_filenames") is False else ["models/a.json"]
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    command = [*shlex.split(str(told["entry"])), *names]
    ended = subprocess.run(
        command, cwd=models.parent, env=environ, capture_output=True, text=True, check=False
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
