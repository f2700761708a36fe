"""What is known of the kinds of sound besides their names: which last, which hold others, which warn.

The labels are those of the corpus and of signals.py. How a kind is said is in captions.py.
"""

from typing import Literal

from ...runtime.model.manifest import Cadence, Priority
from ..data.corpus import Label

QUIET = "room_tone"
"""A label that is no sound: its clips are backgrounds in which nothing is to be said."""
UNLABELLED = "unlabelled"
"""The label of clips of which nobody has said what they hold: nothing can be scored on them."""

STEADY = frozenset(
    [
        "rain",
        "wind",
        "sea_waves",
        "stream",
        "crackling_fire",
        "water_tap",
        "shower",
        "boiling_bubbling",
        "vacuum_cleaner",
        "washing_machine",
        "dishwasher",
        "microwave",
        "fridge_hum",
        "fan",
        "air_conditioner",
        "frying_sizzle",
        "engine",
        "traffic",
        "airplane",
        "crowd_chatter",
        "cafe",
        "machine_hum",
        "music",
        "crickets",
        "clock_tick",
        "keyboard_typing",
        "speech",
        "man_speech",
        "woman_speech",
    ]
)
"""Labels that may lie under a scene as its background."""

RELATED = [
    {"speech", "man_speech", "woman_speech", "child_speech", "crowd_chatter", "cafe", "children_playing"},
    {"singing", "child_singing", "music"},
    {"alarm", "smoke_alarm", "co_alarm", "siren", "alarm_clock"},
    {"electronic_chime", "phone_ring", "doorbell", "appliance_beep", "alarm_clock", "bell"},
    {
        "music",
        "guitar",
        "piano",
        "violin",
        "cello",
        "double_bass",
        "flute",
        "clarinet",
        "saxophone",
        "trumpet",
        "drum",
    },
    {"water_tap", "washing_dishes", "shower", "pouring_water", "stream"},
    {"fan", "air_conditioner", "fridge_hum", "machine_hum", "microwave", "dishwasher", "washing_machine"},
    {"chainsaw", "power_saw", "power_drill", "jackhammer"},
    {"traffic", "car_passing", "engine", "truck_bus", "motorcycle"},
    {"explosion", "fireworks", "gunshot"},
]
"""Labels close enough that naming one for another is half right ("kin" in the scores)."""

BROADER = {
    "speech": {"man_speech", "woman_speech", "child_speech"},
    "singing": {"child_singing"},
    "alarm": {"smoke_alarm", "co_alarm", "siren", "alarm_clock", "car_alarm"},
    "bell": {"doorbell", "bicycle_bell", "church_bells", "train_crossing_bell"},
    "electronic_chime": {"phone_ring", "doorbell", "appliance_beep", "alarm_clock", "checkout_beep"},
    "music": {
        "guitar", "piano", "violin", "cello", "double_bass", "flute", "clarinet", "saxophone", "trumpet",
        "drum", "singing", "child_singing",
    },
    "machine_hum": {
        "fan", "air_conditioner", "fridge_hum", "microwave", "dishwasher", "washing_machine", "engine",
    },
}  # fmt: skip
"""Label -> narrower ones. A clip of speech may hold a man's: there "man" is not taught to be absent. But
where a man is known to speak, "speech" is not what should be said."""

TOGETHER = {
    "crowd_chatter": {"cafe", "children_playing", "speech", "man_speech", "woman_speech", "cheering"},
    "engine": {"motorcycle", "truck_bus", "traffic", "car_passing"},
    "washing_dishes": {"water_tap", "dishes", "cutlery"},
    "rain": {"thunder"},
    "reversing_beep": {"reversing_beeps"},
    "cheering": {"clapping"},
}
"""Label -> labels that its clips often hold, and theirs it: where either sounds, the other is not taught to
be absent.

Sisters are in neither: that a cello is no violin, and a three-pulse alarm no alarm clock, has to be learnt.
"""

SYNTHETIC_SHARE = {
    "smoke_alarm": 0.6, "co_alarm": 1.0, "doorbell": 0.7, "phone_ring": 0.2, "alarm_clock": 0.3,
    "appliance_beep": 1.0, "reversing_beep": 1.0, "intercom_buzzer": 1.0, "kettle": 1.0, "car_alarm": 1.0,
    "checkout_beep": 1.0,
}  # fmt: skip
"""How often a signal of this label is synthesised rather than recorded."""

CROWDS = {"crowd_chatter": ("speech", "man_speech", "woman_speech")}
"""Labels that are many others at once: mixed from those, where there is no recording of the crowd itself."""

CADENCED = {
    "smoke_alarm": 7, "co_alarm": 18, "alarm": 7, "alarm_clock": 5, "reversing_beep": 5, "car_alarm": 5,
    "checkout_beep": 9,
}  # fmt: skip
"""Signals that their rhythm tells apart, and the chunks that a pause in them may last (5.5 s in a carbon
monoxide alarm). They are heard for long enough, and go on through their pauses."""

AMBIENT = frozenset(
    [
        "rain", "wind", "sea_waves", "stream", "crackling_fire", "crickets", "traffic", "airplane", "engine",
        "fan", "air_conditioner", "fridge_hum", "machine_hum", "vacuum_cleaner", "washing_machine",
        "dishwasher", "microwave",
        "crowd_chatter", "cafe", "clock_tick", "keyboard_typing", "mouse_click",
    ]
)  # fmt: skip
"""Labels of backgrounds that come and go for hours: named once, until they were gone for long."""
CADENCES: dict[str, Cadence] = {"smoke_alarm": "T3", "co_alarm": "T4"}
"""Alarms that go on until somebody comes, and the cadence that tells each."""
URGENT = frozenset(["alarm", "siren", "glass_breaking", "screaming", "crying_baby", *CADENCES])
"""Labels that are said before all else, and each time, be it as a guess."""
CALLS = frozenset(["doorbell", "door_knock", "phone_ring", "intercom_buzzer"])
"""Labels that want somebody to come."""


def priority(label: Label) -> Priority:
    """Of labels.csv in a bundle."""
    kinds: dict[Priority, frozenset[str]] = {"urgent": URGENT, "call": CALLS, "ambient": AMBIENT}
    return next((priority for priority, names in kinds.items() if label.name in names), "")


def cadence(label: Label) -> Cadence | Literal[""]:
    """Of labels.csv in a bundle."""
    return CADENCES.get(label.name, "")
