"""What is known of the kinds of sound, and what the shipped model was told of it."""

from edgecap.runtime.model.bundle import Bundle
from edgecap.training.data.corpus import Label
from edgecap.training.sound import taxonomy
from edgecap.training.sound.taxonomy import cadence, priority


def test_the_shipped_labels_have_the_priorities_and_cadences_of_the_taxonomy() -> None:
    for label in Bundle.open("room-small").labels:
        known = Label(label.label, label.phrase, label.category)
        assert (label.priority, label.cadence) == (priority(known), cadence(known)), label


def test_a_sound_has_one_priority_and_alarms_of_a_cadence_are_urgent() -> None:
    kinds = taxonomy.URGENT, taxonomy.CALLS, taxonomy.AMBIENT
    assert sum(len(kind) for kind in kinds) == len(frozenset[str]().union(*kinds))
    assert taxonomy.CADENCES.keys() <= taxonomy.URGENT
