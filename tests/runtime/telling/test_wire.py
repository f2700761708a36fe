"""Wire version 1: what is written can be read, and garbage is told from a message."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.errors import WireError
from edgecap.runtime.events import Reason
from edgecap.runtime.telling import wire

NAMES = st.text(st.characters(codec="utf-8"), max_size=20)
MOMENTS = st.datetimes(timezones=st.just(UTC))
STAMPS = MOMENTS.map(wire.timestamp)
COUNTS = st.integers(0, 2**53)
SEQS = st.integers(1, 2**53)
PROBABILITIES = st.floats(0, 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)

CAPTIONS = st.builds(
    wire.CaptionMessage,
    room=NAMES,
    run=COUNTS,
    seq=SEQS,
    id=NAMES,
    event=st.sampled_from(["new", "update", "end"]),
    text=NAMES,
    confidence=PROBABILITIES,
    sounds=st.lists(st.builds(wire.Sound, label=NAMES, score=PROBABILITIES), max_size=3).map(tuple),
    start=STAMPS,
    end=st.none() | STAMPS,
    model=NAMES,
    at=st.none() | STAMPS,
    priority=st.sampled_from(get_args(wire.Priority)),
    language=NAMES,
    semantic=st.none() | NAMES,
)
STATUSES = st.builds(
    wire.StatusMessage,
    room=NAMES,
    run=COUNTS,
    seq=SEQS,
    at=STAMPS,
    state=st.sampled_from(
        ["starting", "listening", "quiet", "muted", "no-microphone", "overloaded", "stopping"]
    ),
    live=st.none() | CAPTIONS,
    last=COUNTS,
    level=st.none() | FINITE,
    gaps=COUNTS,
    capture=st.sampled_from(get_args(wire.CaptureHealth)),
    hop=FINITE,
    model=NAMES,
    uptime=FINITE,
)
HEARD_SOUNDS = st.builds(wire.HeardSound, label=NAMES, score=PROBABILITIES, why=st.none() | NAMES)
HEARD = st.builds(
    wire.HeardMessage,
    room=NAMES,
    run=COUNTS,
    seq=SEQS,
    at=STAMPS,
    level=st.none() | FINITE,
    sounds=st.lists(HEARD_SOUNDS, max_size=5).map(tuple),
)
REQUESTS = (
    st.builds(wire.ReplayRequest, room=NAMES, run=COUNTS, after=COUNTS)
    | st.builds(wire.MuteRequest, room=NAMES)
    | st.builds(wire.UnmuteRequest, room=NAMES)
)
ANSWERS = (
    st.builds(wire.ReplayEnd, room=NAMES, run=COUNTS, after=COUNTS, last=COUNTS)
    | st.builds(wire.Ok, room=NAMES, run=COUNTS, request=NAMES)
    | st.builds(wire.Refused, room=NAMES, run=COUNTS, request=NAMES, why=NAMES, fix=NAMES)
)
MESSAGES = CAPTIONS | STATUSES | HEARD | REQUESTS | ANSWERS
ADDED = {wire.CaptionMessage: {"at", "priority", "language", "semantic"}, wire.StatusMessage: {"held"}}
"""Fields that an earlier writer's messages do not have."""

CAPTION = (
    '{"v":1,"type":"caption","room":"kitchen","run":1769853600000,"seq":412,"id":"1769853600000-7",'
    '"event":"new","text":"A dog barks.","confidence":0.83,"sounds":[{"label":"dog","score":0.91}],'
    '"start":"2026-01-31T10:00:00.120Z","end":null,"model":"room-small 1.0"}'
)


@given(MESSAGES)
def test_what_is_written_is_read_back(message: wire.Message) -> None:
    assert wire.decode(wire.encode(message)) == message


@given(MESSAGES, st.dictionaries(NAMES, st.none() | st.integers() | NAMES | st.lists(st.integers())))
def test_fields_of_a_later_writer_are_ignored(message: wire.Message, later: dict[str, Any]) -> None:
    fields = json.loads(wire.encode(message))
    assert wire.decode(json.dumps({**later, **fields}).encode()) == message


@given(MESSAGES, st.data())
def test_a_missing_field_is_a_wire_error(message: wire.Message, data: st.DataObject) -> None:
    fields = json.loads(wire.encode(message))
    optional = ADDED.get(type(message), set())
    del fields[data.draw(st.sampled_from(sorted(fields.keys() - optional)))]
    with pytest.raises(WireError):
        wire.decode(json.dumps(fields).encode())


@given(st.binary(max_size=200) | st.text(max_size=50).map(str.encode))
def test_garbage_is_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(data)


def test_the_caption_of_the_design_is_written_to_the_letter() -> None:
    message = wire.decode(CAPTION.encode())
    assert isinstance(message, wire.CaptionMessage)
    assert message.text == "A dog barks."
    assert message.sounds == (wire.Sound("dog", 0.91),)
    added = ',"at":null,"priority":"normal","language":"en","semantic":null}'
    assert wire.encode(message).decode() == CAPTION.removesuffix("}") + added


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("v", 2, "message of wire version 2: this edgecap reads version 1"),
        (
            "type",
            "alert",
            "message of unknown type 'alert': known are caption, status, heard, replay, mute, unmute",
        ),
        ("seq", 0, "Expected `int` >= 1 - at `$.seq`"),
        ("seq", "412", "Expected `int`, got `str` - at `$.seq`"),
        ("run", -1, "Expected `int` >= 0 - at `$.run`"),
        ("event", "stop", "Invalid enum value 'stop' - at `$.event`"),
        ("confidence", 1.5, "Expected `float` <= 1.0 - at `$.confidence`"),
        ("start", "2026-01-31T10:00:00Z", "Expected `str` matching regex"),
        ("start", "2026-02-31T10:00:00.000Z", "day is out of range for month"),
        ("end", "now", "Expected `str` matching regex"),
    ],
)
def test_a_wrong_field_is_named(field: str, value: object, reason: str) -> None:
    fields = {**json.loads(CAPTION), field: value}
    with pytest.raises(WireError) as refused:
        wire.decode(json.dumps(fields).encode())
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    "data",
    [b"", b"null", b"[]", b"{}", b'{"v":1}', b"[" * 100_000, b'{"v":1,"type":"\xff"}', CAPTION.encode()[:-1]],
    ids=["empty", "null", "list", "no fields", "no type", "nested deep", "no UTF-8", "truncated"],
)
def test_what_is_no_message_is_a_wire_error(data: bytes) -> None:
    with pytest.raises(WireError):
        wire.decode(data)


@given(MOMENTS)
def test_a_timestamp_keeps_the_millisecond(when: datetime) -> None:
    text = wire.timestamp(when)
    assert len(text) == len("2026-01-31T10:00:00.120Z")
    assert timedelta(0) <= when - wire.moment(text) < timedelta(milliseconds=1)


@given(st.lists(MOMENTS, max_size=5))
def test_timestamps_sort_as_text(moments: list[datetime]) -> None:
    assert sorted(map(wire.timestamp, moments)) == list(map(wire.timestamp, sorted(moments)))


def test_a_timestamp_is_in_utc_wherever_the_clock_stands() -> None:
    berlin = datetime(2026, 1, 31, 11, 0, 0, 120_999, tzinfo=timezone(timedelta(hours=1)))
    assert wire.timestamp(berlin) == "2026-01-31T10:00:00.120Z"


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="without a zone"):
        wire.timestamp(datetime(2026, 1, 31))


def test_topics_name_kind_and_room() -> None:
    assert (wire.caption_topic("kitchen"), wire.status_topic("Küche")) == (
        b"caption.kitchen",
        "status.Küche".encode(),
    )


def test_every_message_begins_with_version_and_type() -> None:
    for message in (wire.CaptionMessage, wire.StatusMessage, wire.ReplayRequest, wire.ReplayEnd):
        assert [field.name for field in msgspec.structs.fields(message)][:2] == ["v", "type"]


def test_reading_captions_loads_no_model() -> None:
    command = "import sys, edgecap.client; print(*({'numpy', 'onnxruntime', 'torch'} & set(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == ""


DOCUMENT = (Path(__file__).parents[3] / "docs" / "wire.md").read_text(encoding="utf-8")
KINDS: dict[str, type[msgspec.Struct]] = {
    "caption": wire.CaptionMessage,
    "status": wire.StatusMessage,
    "heard": wire.HeardMessage,
    "replay": wire.ReplayRequest,
    "replay-end": wire.ReplayEnd,
    "mute": wire.MuteRequest,
    "unmute": wire.UnmuteRequest,
    "ok": wire.Ok,
    "refused": wire.Refused,
}


def section(kind: str) -> str:
    return DOCUMENT.split(f"\n## {kind}\n")[1].split("\n## ")[0]


@pytest.mark.parametrize("kind", KINDS)
def test_the_document_explains_every_field_and_its_example_is_a_message(kind: str) -> None:
    names = [field.name for field in msgspec.structs.fields(KINDS[kind])]
    table = [line.split("|")[1] for line in section(kind).splitlines() if line.startswith("| `")]
    explained = {name for cell in table for name in re.findall(r"`([a-z]+)`", cell)}
    # Tables also explain the words that a field may hold.
    words = {
        *get_args(wire.State),
        *get_args(wire.CaptureHealth),
        *get_args(wire.Priority),
        *get_args(Reason),
    }
    assert explained - (words - set(names)) == set(names)
    (example,) = re.findall(r"```json\n(.*)\n```", section(kind))
    assert wire.encode(wire.decode(example.encode())).decode() == example


def test_the_document_explains_every_state_and_event() -> None:
    for state in get_args(wire.State):
        assert f"\n| `{state}` |" in section("status")
    for health in get_args(wire.CaptureHealth):
        assert f"\n| `{health}` |" in section("status")
    for reason in get_args(Reason):
        assert f"\n| `{reason}` |" in section("heard")
    for priority in get_args(wire.Priority):
        assert f"\n| `{priority}` |" in section("caption")
    assert "`new`, `update`, `end`" in section("caption")
