"""docs/http.md tells every route, whom it answers, and every event with its fields."""

import json
import re
import subprocess
import sys
from pathlib import Path

from edgecap.serve.app import TABLE
from tests.edgecap.serve.house import house, until

PAGE = (Path(__file__).parents[3] / "docs" / "http.md").read_text(encoding="utf-8")
EVENTS = PAGE.split("## events")[1].split("## api")[0]


def test_the_page_has_the_tables_routes_and_whom_they_answer() -> None:
    rows = re.findall(r"^\| `(GET|POST) (\S+)` \| ([^|]+) \|", PAGE, re.MULTILINE)
    assert rows == [(entry.method, entry.path, entry.guard.value) for entry in TABLE]


def test_every_event_and_its_fields_are_told(tmp_path: Path) -> None:
    room, ear = (json.loads(line) for line in re.findall(r"^\{.*\}$", EVENTS, re.MULTILINE))
    events = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", EVENTS, re.MULTILINE))
    with house(tmp_path, "kitchen") as (face, [kitchen]), face.browser("/events?heard=kitchen") as browser:
        hello = browser.next("hello")
        fields = re.findall(r"`(\w+)`", re.sub(r"\{.*?\}", "", events["hello"]))
        assert set(hello) == {"told", *fields}
        assert list(hello["ears"][0]) == list(ear)
        assert list(hello["rooms"][0]) == list(room)
        kitchen.say()
        seen: set[str] = set()
        while not seen >= {"caption", "room", "beat"}:
            seen.add(browser.next()["told"])
            assert seen <= set(events)


def test_the_ten_lines_print_what_is_heard(tmp_path: Path) -> None:
    [code] = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    with house(tmp_path, "kitchen") as (face, [kitchen]):
        called = [sys.executable, "-u", "-c", code.replace("http://127.0.0.1:7380", face.origin)]
        reading = subprocess.Popen(called, stdout=subprocess.PIPE, text=True)
        try:
            until(lambda: face.face.hub.listeners)
            kitchen.say("A dog barks.")
            assert reading.stdout is not None
            assert reading.stdout.readline() == "kitchen new A dog barks.\n"
        finally:
            reading.kill()
            reading.communicate()
