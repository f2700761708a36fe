"""The page's files: for a browser of 2018, under a policy without inline code, asking nobody else, small."""

import gzip
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[3] / "edgecap" / "serve" / "static"
SCRIPTS = sorted(STATIC.glob("*.js"))
PAGES = sorted(STATIC.glob("*.html"))
SHEETS = sorted(STATIC.glob("*.css"))
MOST_BYTES = 60_000
MOST_LINES = 400
LATER_PARTS = ("SpreadElement", "RestElement")

LATER = [
    r"\.flat\(",
    r"\.flatMap\(",
    r"\.matchAll\(",
    r"\.replaceAll\(",
    r"\.at\(",
    "fromEntries",
    "allSettled",
    "globalThis",
    "structuredClone",
    "replaceChildren",
    r"\.toggleAttribute\(",
    "queueMicrotask",
    "ResizeObserver",
    "RelativeTimeFormat",
    "AbortController",
    r"\.finally\(",
    r"\(\?<[=!a-z]",
    r"\.append\(",
    r"\.replaceWith\(",
]
"""What came after 2018 and needs no syntax: a page that calls it dies in the middle."""
AS_MARKUP = (
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|\.cssText"
    r"|setTimeout\(\s*[\"']"
)
LATER_STYLE = [
    r":is\(",
    r":where\(",
    r":has\(",
    "@container",
    "@layer",
    "aspect-ratio",
    r"\binset:",
    r"\bclamp\(",
    r"\bmin\(",
    r"\bmax\(",
    r"^\s+gap:",
    r"^\s+&",
    r"\d(?:dvh|svh|lvh)\b",
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_scripts_are_of_2017(script: Path) -> None:
    """Parsed by a parser of that year's language; what it lets through and was later is looked for."""
    import esprima

    text = script.read_text(encoding="utf-8")
    spreads: list[object] = []

    def look(node: object, _: object) -> None:
        if getattr(node, "type", "") in ("ObjectExpression", "ObjectPattern"):
            spreads.extend(each for each in node.properties if each.type in LATER_PARTS)  # type: ignore[attr-defined]  # esprima's nodes have no types

    esprima.parseScript(text, {}, look)
    assert not spreads, "an object's spread is of 2018"
    code = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    assert not [later for later in LATER if re.search(later, code)]
    assert not re.search(AS_MARKUP, code), "text goes into the page as text alone"
    assert len(text.splitlines()) <= MOST_LINES


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda path: path.name)
def test_style_sheets_are_of_2018(sheet: Path) -> None:
    text = re.sub(r"/\*.*?\*/", "", sheet.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert not [later for later in LATER_STYLE if re.search(later, text, re.MULTILINE)]
    assert text.count("{") == text.count("}")
    assert len(text.splitlines()) <= MOST_LINES


def test_the_dark_theme_is_the_same_by_choice_and_by_the_system() -> None:
    """Plain CSS can't name a theme once for both."""
    text = (STATIC / "edgecap.css").read_text(encoding="utf-8")

    def theme(name: str) -> list[str]:
        [rules] = re.findall(rf':root\[data-theme="{name}"\] \{{(.*?)\}}', text, re.DOTALL)
        return rules.split()

    assert theme("system") == theme("dark")
    assert theme("dark") != theme("black")


class Tags(HTMLParser):
    """What a page's markup loads, and what it does itself."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.inline: list[str] = []
        self._open = ""

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        named = dict(attributes)
        self._open = tag
        if tag != "a":
            self.loads += [named[key] or "" for key in ("src", "href") if key in named]
        self.inline += [key for key in named if key == "style" or key.startswith("on")]
        if tag == "style":
            self.inline.append(tag)

    def handle_data(self, data: str) -> None:
        if self._open == "script" and data.strip():
            self.inline.append(data)


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_pages_have_no_code_within_and_load_files_that_are_there(page: Path) -> None:
    tags = Tags()
    tags.feed(page.read_text(encoding="utf-8"))
    assert not tags.inline
    for name in tags.loads:
        assert re.match(r"(\.\./)?static/[\w.-]+$", name), name
        assert (STATIC / name.rpartition("/")[2]).is_file(), name


def test_nothing_is_asked_of_another_server() -> None:
    for path in STATIC.iterdir():
        found = re.findall(r"https?://[^\s\"')]+", path.read_text(encoding="utf-8"))
        assert set(found) <= {"http://www.w3.org/2000/svg"}, path.name


def test_all_of_it_is_small() -> None:
    size = sum(len(gzip.compress(path.read_bytes(), 6)) for path in STATIC.iterdir())
    assert size <= MOST_BYTES, f"{size} bytes compressed"


@pytest.mark.parametrize("script", ["tv.js", "obs.js"])
def test_parameters_of_an_address_are_documented(script: str) -> None:
    text = (STATIC / script).read_text(encoding="utf-8")
    [table] = re.findall(r"fromAddress\(window\.location\.search, \{(.*?)\n  \}\)", text, re.DOTALL)
    page = (STATIC.parents[2] / "docs" / "page.md").read_text(encoding="utf-8")
    rows = {
        name
        for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert set(re.findall(r"^    (\w+):", table, re.MULTILINE)) <= rows
