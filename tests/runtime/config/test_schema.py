"""The configuration: every key checked, every refusal says where, what was found and what is allowed."""

import contextlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from edgecap.cli import app
from edgecap.runtime.config.file import find, load, places, render
from edgecap.runtime.config.schema import Config, RoomConfig, flags
from edgecap.runtime.errors import ConfigError
from edgecap.runtime.names import visible
from edgecap.runtime.options import Captions
from edgecap.runtime.sound.source import Source
from edgecap.runtime.telling.key_files import Keys

ROOT = Path(__file__).parents[3]
unit = st.floats(0, 1)
names = st.from_regex(r"\A[^\s./]{1,20}\Z").filter(lambda name: visible(name) == name)
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30)


def sources(*kinds: str) -> st.SearchStrategy[Source]:
    return st.builds(
        Source,
        kind=st.sampled_from(kinds),
        name=texts,
        rate=st.integers(1_000, 384_000),
        channels=st.integers(1, 64),
    )


captions = st.builds(
    lambda pair, interval, level: Captions(max(pair), min(pair), interval, level),
    st.tuples(unit, unit),
    st.floats(0, 60),
    st.none() | st.floats(-100, 0),
) | st.just(Captions())
one_room = st.fixed_dictionaries({"room": names, "source": sources("microphone", "file", "stdin")})
several = st.fixed_dictionaries(
    {
        "rooms": st.lists(
            st.builds(RoomConfig, room=names, source=sources("microphone", "file"), captions=captions),
            unique_by=lambda room: room.room,
            max_size=4,
        ).map(tuple)
    }
)
configs = st.builds(
    lambda rooms, **more: Config(**rooms, **more),
    one_room | several,
    captions=captions,
    publish=st.sampled_from(["tcp://127.0.0.1:7310", "ipc:///run/edgecap/captions", "tcp://[::1]:7000"]),
    keys=st.just(Keys()) | st.builds(Keys, secret=texts, readers=texts),
    insecure=st.booleans(),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "room.yaml"


@pytest.fixture(autouse=True)
def nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))


def refusal(file: Path, text: str) -> str:
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert caught.value.code == 78
    return str(caught.value)


def test_defaults_are_those_of_the_design() -> None:
    config = load()
    assert (config.publish, config.replay) == ("tcp://127.0.0.1:7310", "tcp://127.0.0.1:7311")
    assert (config.bundle, config.source.kind, config.source.name) == ("room-small", "microphone", "default")


@given(config=configs)
def test_what_is_printed_reads_back_as_the_same(
    config: Config, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("config") / "c.yaml"
    file.write_text(render(config), encoding="utf-8")
    assert load(file) == config


def test_every_key_is_printed_with_its_explanation() -> None:
    lines = render(Config()).splitlines()
    keys = [i for i, line in enumerate(lines) if line and not line.lstrip().startswith("#")]
    sections = 3
    assert len(keys) == len(flags()) + sections
    assert all(lines[i - 1].lstrip().startswith("# ") for i in keys)


def test_flags_overrule_the_file(file: Path) -> None:
    file.write_text("room: kitchen\ncaptions: {level: -50, interval: 2}\n")
    config = load(file, {"captions.level": -40.0, "source.name": "USB"})
    assert (config.room, config.captions.level, config.captions.interval) == ("kitchen", -40.0, 2.0)
    assert config.source.name == "USB"


def test_the_users_file_is_found(tmp_path: Path) -> None:
    user, system = places()
    assert user == tmp_path / "home/edgecap/config.yaml"
    assert system == Path("/etc/edgecap/config.yaml")
    user.parent.mkdir(parents=True)
    user.write_text("room: attic\n")
    assert find() == user
    assert load().room == "attic"


def test_an_index_may_be_written_as_a_number(file: Path) -> None:
    file.write_text("source: {name: 2}\n")
    assert load(file).source.name == "2"


@pytest.mark.parametrize("text", ["", "# nothing\n", "captions:\n", "source:\n  # name: USB\n"])
def test_what_is_commented_out_is_the_default(file: Path, text: str) -> None:
    file.write_text(text)
    assert load(file) == Config()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("captions: {confidnce: 0.5}", ["unknown key captions.confidnce", "Write confidence"]),
        ("rom: kitchen", ["unknown key rom", "Write room"]),
        ("record: true", ["unknown key record", "known here are room, source"]),
        ("3: 4", ["unknown key 3"]),
        ("captions: {confidence: 1.5}", ["captions.confidence is 1.5", "allowed is a number from 0 to 1"]),
        ("captions: {confidence: .nan}", ["captions.confidence is nan", "a number from 0 to 1"]),
        ("captions: {level: .inf}", ["captions.level is inf", "a number from -100 to 0"]),
        ("captions: {interval: soon}", ["captions.interval is 'soon'", "a number from 0 to 60"]),
        ("captions: {interval: null}", ["captions.interval is empty", "a number from 0 to 60."]),
        ("captions: 3", ["captions is 3", "allowed is keys: confidence, hedge, interval, level"]),
        ("source: {kind: mic}", ["source.kind is 'mic'", "microphone, file or stdin"]),
        ("source: {rate: 0}", ["source.rate is 0", "a number from 1000 to 384000"]),
        ("room: a b", ["room is 'a b'", "without spaces"]),
        ("room: ''", ["room is ''", "1 to 64 characters"]),
        ("insecure: 1", ["insecure is 1", "true or false"]),
        ("publish: [a]", ["publish is a list", "tcp://ADDRESS:PORT or ipc://PATH"]),
        ("publish: 7310", ["publish is 7310"]),
        ("publish: http://127.0.0.1:1", ["publish is 'http://127.0.0.1:1'", "neither tcp:// nor ipc://"]),
        ("publish: tcp://127.0.0.1", ["the port is missing"]),
        ("publish: tcp://127.0.0.1:99999", ["the port is no number from 1 to 65535"]),
        (f"publish: ipc://{'x' * 108}", ["longer than 107 bytes"]),
        ("captions: {confidence: 0.2, hedge: 0.9}", ["captions.hedge 0.9 is above", "Lower captions.hedge"]),
        ("publish: tcp://127.0.0.1:7311", ["publish and replay are both"]),
        ("room: a\nroom: b", ["line 1", "key room stands twice"]),
        ("[1, 2]", ["found a list", "`key: value`"]),
        ("room: [", ["line 1", "not valid YAML"]),
        ("!!python/object/apply:os.system [true]", ["not valid YAML"]),
    ],
)  # fmt: skip
def test_refusals_help(file: Path, text: str, says: list[str]) -> None:
    message = refusal(file, text)
    assert str(file) in message
    for part in says:
        assert part in message


@pytest.mark.parametrize("key", ["publish", "replay"])
@pytest.mark.parametrize("host", ["0.0.0.0", "*", "192.168.1.5", "[::]", "kitchen.local"])
def test_what_other_machines_reach_must_be_said_out_loud(file: Path, key: str, host: str) -> None:
    text = f"{key}: 'tcp://{host}:7000'\n"
    assert "which other machines can reach" in refusal(file, text)
    file.write_text(f"{text}insecure: true\n")
    assert load(file).insecure


def test_keys_make_other_machines_safe(file: Path) -> None:
    text = "publish: 'tcp://0.0.0.0:7000'\nkeys: {secret: /etc/edgecap/room.key_secret"
    assert "keys.readers is empty" in refusal(file, text + "}\n")
    file.write_text(text + ", readers: /etc/edgecap/readers}\n")
    assert load(file).keys.readers == "/etc/edgecap/readers"


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere.yaml can't be read: No such file") as caught:
        load(tmp_path / "nowhere.yaml")
    assert caught.value.code == 78


def test_bytes_that_are_no_text(file: Path) -> None:
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(file)


def test_a_flag_is_refused_by_its_own_name() -> None:
    with pytest.raises(ConfigError, match="--confidence is 4"):
        load(None, {"captions.confidence": 4.0})
    with pytest.raises(ConfigError, match="--source is 'mic'"):
        load(None, {"source.kind": "mic"})


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
        max_leaves=8,
    ),
    key=st.sampled_from(["", "source", "captions", "room", "publish"]),
)
def test_any_yaml_is_either_a_configuration_or_refused(
    value: Any, key: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("config") / "c.yaml"
    file.write_text(yaml.safe_dump({key: value} if key else value), encoding="utf-8")
    with contextlib.suppress(ConfigError):
        assert isinstance(load(file), Config)


def test_every_key_outside_rooms_is_a_flag_of_run_with_its_words() -> None:
    """Read from the command itself, as typer would show it."""
    options = {
        spelling: parameter.help
        for parameter in get_command(app).commands["run"].params  # type: ignore[attr-defined]  # a group's, says the command itself
        for spelling in parameter.opts
    }
    lines = render(Config()).splitlines()
    for flag in flags():
        assert options[flag.spelling.partition("/")[0]] == flag.declared.key.doc
        name = flag.path.split(".")[-1]
        [printed] = [i for i, line in enumerate(lines) if line.lstrip().startswith(f"{name}: ")]
        assert flag.declared.key.doc in lines[printed - 1]


def test_sections_are_declared_without_a_library() -> None:
    """So that help is instant: a key that needs one would make each `edgecap --help` pay for it."""
    code = "import sys, edgecap.runtime.config.schema\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not {"msgspec", "yaml", "numpy", "zmq"} & set(done.stdout.split())


ROOMS = """
rooms:
  - {room: kitchen, source: {kind: microphone, name: "USB"}}
  - {room: door, source: {kind: stdin, rate: 48000}, captions: {confidence: 0.6}}
"""


def test_several_rooms_are_read_and_printed_back(file: Path) -> None:
    file.write_text(ROOMS)
    config = load(file)
    assert [(each.room, each.source.kind, each.captions.confidence) for each in config.all_rooms()] == [
        ("kitchen", "microphone", None),
        ("door", "stdin", 0.6),
    ]
    file.write_text(render(config))
    assert load(file) == config
    assert [each.room for each in Config(room="den").all_rooms()] == ["den"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rooms: kitchen", ["rooms is 'kitchen'", "a list, each item with keys: room, source, captions"]),
        ("rooms: [kitchen]", ["rooms[0] is 'kitchen'"]),
        ("rooms: [{source: {kind: stdin}}]", ["rooms[0].room is missing"]),
        (
            "rooms: [{room: a}, {room: b, source: {kind: radio}}]",
            ["rooms[1].source.kind is 'radio'", "microphone"],
        ),
        ("rooms: [{room: a, surce: {}}]", ["unknown key rooms[0].surce", "Write source"]),
        ("rooms: [{room: a}, {room: a}]", ["rooms[0].room and rooms[1].room are both a"]),
        (
            "rooms: [{room: a, source: {kind: stdin}}, {room: b, source: {kind: stdin}}]",
            ["one standard input"],
        ),
        ("room: den\nrooms: [{room: a}]", ["rooms stands beside room", "Remove room, or rooms"]),
        (
            "rooms: [{room: a, captions: {confidence: 0.2, hedge: 0.9}}]",
            ["rooms[0].captions.hedge 0.9 is above"],
        ),
        ("room: 12", ["room is 12", 'Write it in quotes: room: "12"']),
        ("rooms: [{room: true}]", ["rooms[0].room is True", 'room: "true"']),
    ],
)
def test_a_room_that_cannot_be_is_named_by_its_place(file: Path, text: str, says: list[str]) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError) as refused:
        load(file)
    assert all(words in str(refused.value) for words in says), str(refused.value)


def test_flags_for_one_room_say_nothing_of_several(file: Path) -> None:
    file.write_text(ROOMS)
    with pytest.raises(ConfigError, match="says nothing where there are several rooms"):
        load(file, {"source.kind": "stdin"})
    assert [room.room for room in load(file, {"rooms": [{"room": "den"}]}).all_rooms()] == ["den"]


def test_captions_hold_in_every_room_unless_it_says_otherwise(file: Path) -> None:
    """Key by key; and what was typed just now goes before what any room says."""
    shared, attic = "captions: {interval: 3, level: -40}", "  - {room: attic, captions: {level: null}}"
    file.write_text(f"{shared}{ROOMS}{attic}\n")
    rooms = load(file).all_rooms()
    assert [(room.captions.interval, room.captions.level) for room in rooms] == [
        (3, -40),
        (3, -40),
        (3, None),
    ]
    assert [room.captions.confidence for room in rooms] == [None, 0.6, None]
    rooms = load(file, {"captions.confidence": 0.5, "captions.level": -30}).all_rooms()
    assert [(room.captions.confidence, room.captions.level) for room in rooms] == [(0.5, -30)] * 3


def test_what_is_commented_out_in_a_room_is_the_default(file: Path) -> None:
    file.write_text("rooms:\n  - room: den\n    source:\n    captions:\n      # level: -50\n")
    assert load(file).rooms == (RoomConfig("den"),)
    file.write_text("room: den\nrooms:\n  # - room: kitchen\n")
    assert load(file) == Config(room="den")
    file.write_text("rooms: [{room: den, source: {name: 2}}]")
    assert load(file).rooms[0].source.name == "2"


def test_the_printed_example_of_rooms_is_one(file: Path) -> None:
    """Without its # it reads, in the place of room and source."""
    lines = render(Config()).splitlines()
    start = lines.index("# rooms:")
    file.write_text("\n".join(line.removeprefix("# ") for line in lines[start:]))
    assert len(load(file).rooms) > 1


@pytest.mark.parametrize("dotted", ["capshuns.level", "room.name", "captions.level.more", "captions.lvl"])
def test_a_key_that_does_not_exist_is_refused_on_the_command_line(dotted: str) -> None:
    with pytest.raises(ConfigError, match="unknown key"):
        load(None, {dotted: 1})
