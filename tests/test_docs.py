"""What the documents promise, held to the code."""

import re
from pathlib import Path

import msgspec
import pytest
from tools import cli_doc, settings_doc

import model_manager
from model_manager.catalog.entry import Entry, Source, SourceFile, Vllm
from model_manager.cli.program import build
from model_manager.serving import diagnose
from model_manager.serving.kserve import causes as on_cluster
from model_manager.settings import SETTINGS, Setting

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("examples/**/*.md")])
README = (ROOT / "README.md").read_text()
ROOMS = Path(model_manager.__file__).parent


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_a_setting_is_documented(row: Setting) -> None:
    page = (ROOT / "docs/settings.md").read_text()
    assert f"| `{row.name}` | `{row.env}` | `{row.flag}` |" in page


def test_the_settings_page_is_the_table() -> None:
    assert (ROOT / "docs/settings.md").read_text() == settings_doc.page(), (
        "run `python -m tools.settings_doc`"
    )


def test_the_command_line_page_is_the_help() -> None:
    assert (ROOT / "docs/cli.md").read_text() == cli_doc.page(), "run `python -m tools.cli_doc`"


@pytest.mark.parametrize("kind", [Entry, Vllm, Source, SourceFile], ids=lambda kind: kind.__name__)
def test_a_catalog_field_is_documented(kind: type[msgspec.Struct]) -> None:
    page = (ROOT / "docs/catalog.md").read_text()
    missing = [field.encode_name for field in msgspec.structs.fields(kind) if f"`{field.encode_name}`" not in page
               and f"{field.encode_name}`" not in page]  # fmt: skip
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_relative_links_lead_somewhere(page: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_readmes_commands_are_those_that_are_tested() -> None:
    """Its two commands are make targets; CI runs them, and the tour's commands exist."""
    makefile = (ROOT / "Makefile").read_text()
    ci = (ROOT / ".ci/run").read_text()
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    assert blocks[0].split("\n")[:2] == ["make run", "make test"]
    for target in ("run", "test"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE)
        assert re.search(rf"^make {target}\b", ci, re.MULTILINE)
    known = {name for name, _ in cli_doc.commands(build(), "")}
    tour = re.findall(r"^\.venv/bin/model-manager (\S+)", blocks[1], re.MULTILINE)
    assert len(tour) == 5
    assert set(tour) <= known


def test_every_cause_of_a_failure_is_documented() -> None:
    rows = (*diagnose.LLAMA_CPP, *diagnose.VLLM, *diagnose.ANY)
    codes = {row.code for row in (*rows, *on_cluster.ROWS)} | {code for code, *_ in diagnose.ENDS.values()}
    codes |= {row.code for row in on_cluster.RUNTIME.values()}
    page = (ROOT / "docs/why.md").read_text()
    assert sorted(code for code in codes if f"`{code}`" not in page) == []


COMMAND = re.compile(r"(?:^|`)(?:\.venv/bin/)?model-manager ((?:[a-z][a-z-]* ?)+)", re.MULTILINE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_named_in_documents_exist(page: Path) -> None:
    known = {name for name, _ in cli_doc.commands(build(), "")}
    for words in COMMAND.findall(page.read_text()):
        assert words.split()[0] in known, f"{page.name}: model-manager {words}"


def test_the_architecture_names_every_room_and_what_it_names_exists() -> None:
    page = (ROOT / "docs/architecture.md").read_text()
    rooms = {path.stem for path in ROOMS.iterdir() if not path.name.startswith("_")}
    assert [room for room in sorted(rooms) if f"{room}" not in page] == []
    code = "\n".join(path.read_text() for path in ROOMS.rglob("*.py"))
    for owner, name in re.findall(r"`([A-Za-z_]+)\.([a-z_]+)`", page):
        if name not in ("py", "db"):
            assert re.search(rf"(def|class) {name}\b", code), f"{owner}.{name} is not in the code"


@pytest.mark.parametrize(
    "package", sorted(path.parent for path in ROOMS.rglob("__init__.py")), ids=lambda path: path.name
)
def test_every_package_says_what_it_is_and_what_may_not_live_there(package: Path) -> None:
    first = (package / "__init__.py").read_text().split('"""')[1]
    assert len(first.split()) > 8
