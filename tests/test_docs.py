"""What the pages say exists: commands, flags, links."""

import re
from pathlib import Path

import pytest
from typer.main import get_command

from edgecap.cli import app

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
COMMANDS = dict(get_command(app).commands)  # type: ignore[attr-defined]


def flags(name: str) -> set[str]:
    """Every spelling of every flag of a command."""
    return {
        spelling
        for parameter in COMMANDS[name].params
        for spelling in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_flags_in_pages_exist(page: Path) -> None:
    for line in re.findall(r"edgecap ((?:[a-z]+)(?: [^`\n#]*)?)", page.read_text(encoding="utf-8")):
        name, *rest = line.split()
        if name not in COMMANDS:
            continue  # prose: "edgecap says in sentences"
        used = {word.split("=")[0].rstrip(".,;:)") for word in rest if word.startswith("--")}
        assert used <= flags(name), f"{page.name}: edgecap {line}"


def test_every_command_is_in_a_page() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert [name for name in COMMANDS if f"edgecap {name}" not in pages] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_readme_says_that_it_is_no_life_safety_device() -> None:
    assert "life-safety device" in (ROOT / "README.md").read_text(encoding="utf-8")
    card = ROOT / "runtime" / "bundles" / "room-small" / "MODEL_CARD.md"
    assert "life-safety device" in card.read_text(encoding="utf-8")


def test_the_subscriber_of_the_readme_is_that_of_the_protocol() -> None:
    def first_python(page: Path) -> str:
        found = re.search(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        assert found
        return found[1]

    assert first_python(ROOT / "README.md") == first_python(ROOT / "docs" / "wire.md")
