"""What the pages say exists: commands, flags, links."""

import dataclasses
import re
from pathlib import Path

import pytest
from typer.main import get_command

from edgecap.cli import app
from edgecap.runtime.config import schema
from edgecap.runtime.config.schema import RoomConfig
from tests import reference

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = dict(get_command(app).commands)  # type: ignore[attr-defined]  # a group's, says the command itself


def flags(name: str) -> set[str]:
    """Every spelling of every flag of a command."""
    return {
        spelling
        for parameter in COMMANDS[name].params
        if parameter.param_type_name == "option"
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}


def code(page: Path) -> list[str]:
    """The lines of a page's fenced blocks, and what stands between backticks in its text."""
    text = page.read_text(encoding="utf-8")
    fenced = re.findall(r"^```.*?$(.*?)^```", text, re.DOTALL | re.MULTILINE)
    prose = re.sub(r"^```.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    return [line for block in fenced for line in block.splitlines()] + re.findall(r"`([^`\n]+)`", prose)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_flags_in_pages_exist(page: Path) -> None:
    for line in code(page):
        called = re.match(r"(?:\.venv/bin/)?edgecap ([a-z]\S*)([^#]*)", line)
        if called:
            name, rest = called.groups()
            assert name in COMMANDS, f"{page.name}: {line}"
            used = {word.split("=")[0].rstrip(".,;:)") for word in rest.split() if word.startswith("--")}
            assert used <= flags(name), f"{page.name}: {line}"


@pytest.mark.parametrize("page", reference.PAGES)
def test_tables_made_of_the_code_are_as_the_code(page: str) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert text == reference.made(text), f"docs/{page} is older than the code: run python -m tests.reference"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_section_with_a_row_for_each_flag(name: str) -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    [section] = re.findall(rf"^## edgecap {name}$(.*?)(?=^## |^<!-- end)", page, re.DOTALL | re.MULTILINE)
    heads = [line.split(" | ")[0] for line in section.splitlines() if line.startswith("| `")]
    documented = {word for head in heads for word in re.findall(r"`(-\S+?)[ `]", head + " ")}
    assert documented == flags(name) - {"--help", "-h"}


def test_every_key_has_a_row() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([^`]+)` \|", page, re.MULTILINE)
    sections = ["source", "captions", "keys", "rooms"]
    of_a_room = [f"rooms[].{field.name}" for field in dataclasses.fields(RoomConfig)]
    assert sorted(rows) == sorted([*(flag.path for flag in schema.flags()), *sections, *of_a_room])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_named_in_pages_exist(page: Path) -> None:
    folders = "runtime|training|export|edgecap|tests|benchmarks|systemd|docs"
    for named in re.findall(
        rf"(?<![\w/.])(?:{folders})/[\w/.-]*\w\.(?:py|md|yaml|csv|sh|service)\b", "\n".join(code(page))
    ):
        assert (ROOT / named).exists(), f"{page.name}: {named}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_says_that_it_is_no_life_safety_device() -> None:
    """In bold, before anything is installed."""
    begins = (ROOT / "README.md").read_text(encoding="utf-8").split("\n## ")[0]
    assert re.search(r"^> \*\*Not a life-safety device\.\*\*", begins, re.MULTILINE)
    card = ROOT / "runtime" / "bundles" / "room-small" / "MODEL_CARD.md"
    assert "life-safety device" in card.read_text(encoding="utf-8")


def test_the_subscriber_of_the_readme_is_that_of_the_protocol() -> None:
    def first_python(page: Path) -> str:
        found = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        assert found
        return found[1]

    assert first_python(ROOT / "README.md") == first_python(ROOT / "docs" / "wire.md")
