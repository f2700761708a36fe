"""labels.csv: of every age, and what is no row of it."""

from pathlib import Path

import pytest

from edgecap.runtime.errors import BundleError
from edgecap.runtime.model.bundle import parse_labels
from edgecap.runtime.model.manifest import Label

HERE = Path("a-bundle")


def parsed(*lines: str) -> list[Label]:
    return list(parse_labels(HERE, "\n".join([*lines, ""]).encode()))


def test_labels_of_every_age_are_read_alike() -> None:
    """A sound's manner, up to 1.6, was its priority or the cadence of an alarm."""
    now = [
        Label("smoke_alarm", "a smoke alarm beeps", "alarms", "urgent", "T3"),
        Label("siren", "a siren wails", "alarms", "urgent"),
        Label("rain", "rain falls", "weather", "ambient"),
        Label("dog", "a dog barks", "animals"),
    ]
    manners = "T3", "urgent", "ambient", ""
    assert parsed("label,phrase,category,priority,cadence", *(",".join(label) for label in now)) == now
    before = [",".join((*label[:3], manner)) for manner, label in zip(manners, now, strict=True)]
    assert parsed("label,phrase,category,manner", *before) == now
    oldest = parsed("label,phrase,category", *(",".join(label[:3]) for label in now))
    assert oldest == [Label(*label[:3]) for label in now]


@pytest.mark.parametrize(
    ("columns", "row", "reason"),
    [
        ("label,phrase,category", "dog", "line 2 has 1 columns where the first has 3"),
        (
            "label,phrase,category,manner",
            "dog,a dog barks,animal",
            "line 2 has 3 columns where the first has 4",
        ),
        ("label,phrase,category", "dog,a dog barks,animal,", "line 2 has 4 columns where the first has 3"),
        ("label,phrase,category", "", "line 2 has 0 columns where the first has 3"),
        (
            "label,phrase,category,priority,cadence",
            "dog,a dog barks,animal,loud,",
            "line 2 has the priority 'loud', which may be urgent, call, ambient or empty",
        ),
        (
            "label,phrase,category,priority,cadence",
            "bell,a bell rings,alarm,urgent,T5",
            "line 2 has the cadence 'T5', which may be T3, T4 or empty",
        ),
        ("label,phrase,category,manner", "dog,a dog barks,animal,T5", "line 2 has the priority 'T5'"),
        ("label,phrase", "dog,a dog barks", "its first line is not label,phrase,category,priority,cadence"),
    ],
)
def test_a_row_that_does_not_fit_is_refused_by_its_number(columns: str, row: str, reason: str) -> None:
    with pytest.raises(BundleError, match=f"is not a table of sounds: {reason}") as refused:
        parsed(columns, row)
    assert str(HERE) in str(refused.value)
    assert refused.value.fix
