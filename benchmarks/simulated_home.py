"""A home that is listened to for months: captions as the shipped model words them, room by room, day by day.

Each kind of sound has its rooms and how often it is heard there; evenings are busier than nights, weeks have
favourites. A fifth of the captions tell of two sounds, one in eight is hedged, and one in thirty is wrong:
they name a sound that was not there. The same seed gives the same home.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.saying.wording import hedged, sentence
from edgecap.runtime.telling import wire

ROOMS = ("kitchen", "living-room", "hall", "bedroom", "bathroom")
OFTEN = {
    "kitchen": """water_tap dishes cutlery washing_dishes frying_sizzle boiling_bubbling fridge_hum kettle
        microwave dishwasher chopping appliance_beep cupboard drawer stove_burner speech man_speech
        woman_speech music""",
    "living-room": """speech man_speech woman_speech music laughter crowd_chatter clock_tick dog_bark cat_meow
        keyboard_typing mouse_click phone_ring page_turning singing piano footsteps children_playing cough""",
    "hall": """footsteps door_slam doorbell door_knock intercom_buzzer door_creak vacuum_cleaner speech
        dog_bark washing_machine sweeping""",
    "bedroom": """snoring alarm_clock breathing rain wind traffic crying_baby bird_chirp fan footsteps cough
        sneeze""",
    "bathroom": "toilet_flush water_tap brushing_teeth water_drops washing_machine fan singing",
}
"""Room -> what is heard there often, the most frequent first. All else is heard now and then anywhere."""
BY_HOUR = np.array([1, 1, 1, 1, 1, 2, 6, 9, 9, 6, 5, 5, 8, 7, 5, 5, 6, 9, 11, 11, 9, 7, 4, 2], float)
NEVER_HERE = ("co_alarm", "gunshot", "explosion")
"""Heard a handful of times all the same: questions about them must find those."""
MODEL = "room-small 1.6"


def phrases() -> dict[str, str]:
    """Label -> its clause, of the shipped bundle, and the alarm that nobody could name yet."""
    labels = Bundle.open("room-small").labels
    return {label.label: label.phrase for label in labels} | {"alarm": "an alarm sounds"}


def captions(
    count: int, *, until: datetime, days: int = 89, seed: int = 0
) -> Iterator[tuple[wire.CaptionMessage, ...]]:
    """The messages of each caption, in the order of time, `count` captions in the days before `until`."""
    random = np.random.default_rng(seed)
    said, priorities = phrases(), {label.label: label.priority for label in Bundle.open("room-small").labels}
    names = list(said)
    weights = {room: _weights(room, names, random) for room in ROOMS}
    seqs = dict.fromkeys(ROOMS, 0)
    rooms = random.choice(len(ROOMS), size=count, p=(0.3, 0.3, 0.15, 0.15, 0.1))
    first, second = (
        np.choose(rooms, [random.choice(len(names), size=count, p=weights[room]) for room in ROOMS])
        for _ in range(2)
    )
    for number, when in enumerate(_moments(count, until - timedelta(days=days), days, random)):
        room = ROOMS[rooms[number]]
        heard = [names[first[number]]]
        if random.random() < 0.2 and second[number] != first[number]:
            heard.append(names[second[number]])
        clauses = [said[name] for name in heard]
        if len(heard) == 2:
            joint = "while" if random.random() < 0.7 else ", then"
            clauses = [clauses[0], joint, clauses[1]]
        text = sentence(" ".join(clauses).split())
        if random.random() < 0.125:
            text = hedged(text)
        found = {priorities.get(name) or ("urgent" if name == "alarm" else "normal") for name in heard}
        priority = next(each for each in ("urgent", "call", "normal", "ambient") if each in found)
        if random.random() < 1 / 30:
            heard[0] = names[random.integers(len(names))]  # what really sounded; the words are wrong
        yield tuple(_messages(room, number, when, text, heard, priority, seqs, random))


def _messages(
    room: str,
    number: int,
    when: datetime,
    text: str,
    heard: list[str],
    priority: str,
    seqs: dict[str, int],
    random: np.random.Generator,
) -> Iterator[wire.CaptionMessage]:
    events = ("new", "update", "end") if random.random() < 0.2 else ("new", "end")
    lasted = timedelta(milliseconds=int(1000 * random.lognormal(1.8, 1.0)))
    for event in events:
        seqs[room] += 1
        yield wire.CaptionMessage(
            room=room,
            run=1769853600000,
            seq=seqs[room],
            id=f"1769853600000-{number}",
            event=event,
            text=text,
            confidence=round(float(random.uniform(0.4, 0.98)), 3),
            sounds=tuple(wire.Sound(name, round(float(random.uniform(0.3, 0.99)), 3)) for name in heard),
            start=wire.timestamp(when),
            end=wire.timestamp(when + lasted) if event == "end" else None,
            model=MODEL,
            at=wire.timestamp(when + (lasted if event == "end" else timedelta(seconds=1.4))),
            priority=priority,
        )


def _weights(room: str, names: list[str], random: np.random.Generator) -> np.ndarray:
    """How probable each sound is in a room: the often heard by Zipf, a twentieth for all others together."""
    often = OFTEN[room].split()
    weights = 0.05 * random.dirichlet(np.full(len(names), 0.5))
    for rank, name in enumerate(often, 1):
        weights[names.index(name)] += 1 / rank
    for name in NEVER_HERE:
        weights[names.index(name)] = 1e-5
    return weights / weights.sum()


def _moments(count: int, since: datetime, days: int, random: np.random.Generator) -> list[datetime]:
    """When each caption begins: more in the evening, none in two places at the same millisecond."""
    day = random.integers(days, size=count)
    hour = random.choice(24, size=count, p=BY_HOUR / BY_HOUR.sum())
    rest = random.integers(3_600_000, size=count)
    ms = np.sort((day * 24 + hour) * 3_600_000 + rest)
    begin = since.astimezone(UTC)
    return [begin + timedelta(milliseconds=int(each)) for each in ms]
