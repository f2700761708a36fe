"""A session is a function of its samples: what it says, when, and that nothing else matters."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecap.runtime.audio import CHUNK_SAMPLES, RATE, Samples
from edgecap.runtime.errors import UsageError
from edgecap.runtime.events import Caption, Event, captions
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.manifest import Label, Thresholds
from edgecap.runtime.options import Captions
from edgecap.runtime.saying.labels import Labels
from edgecap.runtime.session import Model, Session
from tests import handmade
from tests.handmade import bell, dog, rain, silence
from tests.laws import (
    assert_every_caption_closes,
    assert_later_changes_nothing,
    assert_same_in_any_chunking,
    chunkings,
    events_of,
)


@pytest.fixture(scope="module")
def model() -> Model:
    return handmade.model()


def told(model: Model, *parts: Samples, options: Captions | None = None) -> list[Caption]:
    """All events of these sounds in a row."""
    events = captions(events_of(Session(model, options), [np.concatenate(parts)]))
    assert_every_caption_closes(events)
    return events


def texts(events: list[Event]) -> list[str]:
    return [event.text for event in captions(events) if event.kind == "new"]


SCENE = np.concatenate(
    [silence(0.7), bell(1.3), silence(3), dog(0.4), silence(0.5), dog(0.4), silence(4), rain(4), bell(2)]
)


def test_sounds_are_named_when_and_while_they_last(model: Model) -> None:
    events = told(model, silence(1), bell(1), silence(3), rain(6), silence(3))
    assert texts(events) == ["A bell rings.", "The rain falls."]
    ends = [event for event in events if event.kind == "end"]
    assert [round(event.start / RATE, 1) for event in ends] == [1.0, 5.0]
    assert [round((event.end or 0) / RATE, 1) for event in ends] == [2.0, 11.0]


@pytest.mark.parametrize("sound", [bell, dog, rain])
@pytest.mark.parametrize("onset_s", [0.0, 1.0, 1.15, 1.27])
def test_a_clear_onset_is_named_within_a_second_and_a_half(model: Model, sound, onset_s: float) -> None:
    session = Session(model)
    samples = np.concatenate([silence(onset_s), sound(3.0)])
    for at in range(0, len(samples), 320):
        if captions(session.push(samples[at : at + 320])):
            break
    assert session.live is not None
    assert session.position / RATE - onset_s <= 1.5


def test_a_long_sound_is_one_caption(model: Model) -> None:
    """Rain for two minutes: one `new`, one `end`, nothing between."""
    events = told(model, silence(1), rain(120), silence(3))
    assert [event.kind for event in events] == ["new", "end"]


def test_pauses_belong_to_the_sound(model: Model) -> None:
    """Barks with a second between them are one caption; so are a smoke alarm's threes (1.5 s)."""
    barks = [part for _ in range(5) for part in (dog(0.6), silence(1.0))]
    assert texts(told(model, silence(1), *barks, silence(3))) == ["A dog barks."]


def test_a_sound_that_keeps_coming_back_is_waited_for(model: Model) -> None:
    """Bursts 5 s apart, as of a CO alarm: the second shows that it returns, the rest belong to it."""
    bursts = [part for _ in range(10) for part in (bell(0.96), silence(5.0))]
    events = told(model, silence(1), *bursts, silence(10))
    assert texts(events) == ["A bell rings."] * 2
    assert (events[-1].end or 0) / RATE == pytest.approx(1 + 9 * 5.96 + 0.96, abs=0.05)
    stopped = told(model, silence(1), *bursts)
    assert stopped == events[: len(stopped)]


def test_another_sound_ends_the_waiting(model: Model) -> None:
    parts = [bell(0.96), silence(4), bell(0.96), silence(4), dog(2), silence(4)]
    events = told(model, silence(1), *parts)
    assert texts(events) == ["A bell rings.", "A bell rings.", "A dog barks."]
    assert (events[3].end or 0) / RATE == pytest.approx(1 + 0.96 + 4 + 0.96, abs=0.05)


def test_what_stopped_is_not_kept_alive_by_the_encoders_memory(model: Model) -> None:
    """The caption ends where the sound did, and is told within three seconds."""
    session = Session(model)
    session.push(np.concatenate([silence(1), bell(2)]))
    assert session.live is not None
    ended = captions(session.push(silence(3)))
    assert [event.kind for event in ended] == ["end"]
    assert (ended[0].end or 0) / RATE == pytest.approx(3.0, abs=0.04)
    assert session.live is None
    assert session.quiet


def test_the_next_situation_ends_the_last(model: Model) -> None:
    events = told(model, silence(1), bell(4), dog(4), silence(3))
    assert [(e.kind, e.text) for e in events] == [
        ("new", "A bell rings."),
        ("end", "A bell rings."),
        ("new", "A dog barks."),
        ("end", "A dog barks."),
    ]
    assert (events[1].end or 0) <= events[2].start


def test_a_short_file_gets_its_sentence(model: Model) -> None:
    """A recording that ends before the fourth embedding: silence follows it, as it would in a room."""
    events = told(model, bell(0.64))
    assert texts(events) == ["A bell rings."]
    assert events[-1].end == round(0.64 * RATE)


@settings(max_examples=25, deadline=None)
@given(sizes=chunkings())
def test_any_chunking_gives_the_same_events(model: Model, sizes: list[int]) -> None:
    assert_same_in_any_chunking(lambda: Session(model), SCENE, sizes)


@settings(max_examples=10, deadline=None)
@given(sizes=chunkings(longest=5_000))
def test_embeddings_are_equal_to_the_bit(model: Model, sizes: list[int]) -> None:
    def embeddings(pieces: list[int]) -> list[bytes]:
        session, seen = Session(model), []
        step = session.segmenter.step

        def watched(heard):  # only looks on, and passes through
            seen.append(heard.embedding.vector.tobytes() + heard.embedding.scores.tobytes())
            return step(heard)

        session.segmenter.step = watched
        at = 0
        for size in [*pieces, 60_000]:
            session.push(SCENE[30_000 + at : 30_000 + min(at + size, 60_000)])
            at += size
        return seen

    assert embeddings(sizes) == embeddings([])


@settings(max_examples=15, deadline=None)
@given(at=st.integers(0, len(SCENE)), seed=st.integers(0, 3))
def test_later_sound_never_changes_what_was_told(model: Model, at: int, seed: int) -> None:
    assert_later_changes_nothing(lambda: Session(model), SCENE, at, rain(2.0, seed))


SOUNDS = {"silence": silence, "bell": bell, "dog": dog, "rain": rain}


@settings(max_examples=25, deadline=None)
@given(
    plan=st.lists(st.tuples(st.sampled_from([*SOUNDS, "gap"]), st.floats(0.05, 4.0)), min_size=1, max_size=8)
)
def test_every_caption_closes(model: Model, plan: list[tuple[str, float]]) -> None:
    session, events, length = Session(model), [], 0
    for kind, duration_s in plan:
        n = round(duration_s * RATE)
        events += session.skip(n) if kind == "gap" else session.push(SOUNDS[kind](duration_s))
        length += n
        assert session.position == pytest.approx(length, abs=len(plan))
    events += session.finish()
    assert_every_caption_closes(events)
    assert all((event.end or event.start) <= session.position for event in events)


def test_two_sessions_share_a_model_and_nothing_else(model: Model) -> None:
    one, other = Session(model), Session(model)
    pieces = np.array_split(SCENE, 40)
    interleaved = [event for piece in pieces for event in one.push(piece) + other.push(piece * 0)]
    assert interleaved + one.finish() == events_of(Session(model), [SCENE])
    assert other.finish() == []


def test_silence_says_nothing_whatever_the_model_thinks() -> None:
    """Thresholds at their lowest, a minute of zeros: no sound, no caption."""
    thresholds = Thresholds(level_db=-100.0, novelty=0.0, confidence=0.0, hedge=0.0)
    session = Session(handmade.model(thresholds))
    assert session.push(silence(60)) + session.finish() == []
    assert session.level_db == -100.0
    assert session.quiet


def test_a_constant_offset_says_nothing(model: Model) -> None:
    assert told(model, np.full(5 * RATE, 0.4, np.float32)) == []


def test_non_finite_samples_are_zeros_and_counted(model: Model) -> None:
    """One NaN must not silence the encoder for ever."""
    spoilt, clean = SCENE.copy(), SCENE.copy()
    places = [10, 40_000, 40_001, 100_000]
    spoilt[places], clean[places] = [np.nan, np.inf, -np.inf, np.nan], 0.0
    session = Session(model)
    assert events_of(session, [spoilt]) == events_of(Session(model), [clean])
    assert session.non_finite == 4


def test_beyond_full_scale_is_clipped(model: Model) -> None:
    loud = 300.0 * bell(2)
    assert events_of(Session(model), [loud]) == events_of(Session(model), [loud.clip(-1, 1)])


@pytest.mark.parametrize("n", [0, 1, 3])
def test_hardly_any_samples_say_nothing(model: Model, n: int) -> None:
    assert told(model, np.full(n, 0.5, np.float32)) == []


def test_a_long_gap_ends_what_is_open_where_the_loss_began(model: Model) -> None:
    session = Session(model)
    session.push(bell(2))
    assert session.live is not None
    ended = captions(session.skip(5 * RATE))
    assert [(event.kind, event.end) for event in ended] == [("end", 2 * RATE)]
    assert session.position == 7 * RATE
    (new,) = captions(session.push(bell(1.2)))
    assert new.start == pytest.approx(7 * RATE, abs=0.05 * RATE)


def test_a_short_gap_only_moves_time(model: Model) -> None:
    """Half a second lost inside rain: the caption goes on, and ends where the rain does."""
    session = Session(model)
    session.push(rain(3))
    assert session.skip(RATE // 2) == []
    events = captions(session.push(np.concatenate([rain(3, seed=1), silence(3)])))
    assert [event.kind for event in events] == ["end"]
    assert (events[0].end or 0) / RATE == pytest.approx(6.5, abs=0.05)


def test_a_gap_in_parts_is_one_gap(model: Model) -> None:
    def lost(*parts: int) -> list[Event]:
        session = Session(model)
        events = session.push(bell(2))
        for n in parts:
            events += session.skip(n)
        return events + session.push(dog(2)) + session.finish()

    assert lost(20_000, 0, 19_000, 1) == lost(39_001)
    assert lost(10_000, 10_000) == lost(20_000)


def test_a_pause_ends_what_is_open_and_no_time_passes(model: Model) -> None:
    session = Session(model)
    begun = captions(session.push(np.concatenate([handmade.silence(1), handmade.dog(2)])))
    ended = captions(session.pause())
    assert [(caption.kind, caption.end) for caption in begun + ended] == [("new", None), ("end", 3 * RATE)]
    assert session.pause() == session.pause() == []
    assert session.position == 3 * RATE
    after = captions(session.push(handmade.bell(2)) + session.finish())
    expected = told(model, handmade.bell(2))
    assert [(each.text, each.start - 3 * RATE) for each in after] == [
        (each.text, each.start) for each in expected
    ]


def test_misuse_is_refused(model: Model) -> None:
    session = Session(model)
    with pytest.raises(UsageError, match="negative"):
        session.skip(-1)
    with pytest.raises(UsageError, match="one channel"):
        session.push(np.zeros((320, 2), np.float32))
    session.finish()
    assert session.finish() == []
    with pytest.raises(UsageError, match="finished"):
        session.push(silence(0.1))


def test_options_go_over_the_bundles_thresholds(model: Model) -> None:
    assert told(model, bell(2), options=Captions(level=-5.0)) == []
    assert told(model, rain(3), options=Captions(confidence=1.0, hedge=1.0)) == []
    hedged = told(model, rain(3), options=Captions(confidence=1.0, hedge=0.5))
    assert texts(hedged) == ["Possibly the rain falls."]


def test_memory_is_bounded(model: Model) -> None:
    """Ten minutes of rain, one segment: no more embeddings than the window, and one chunk of samples."""
    session = Session(model)
    for _ in range(60):
        session.push(rain(10))
    segment = session.segmenter.open
    assert segment is not None
    assert segment.count > 1_800
    assert len(segment.embeddings()) == handmade.WINDOW
    assert len(session._chunk) == CHUNK_SAMPLES


def test_the_decoder_is_asked_rarely(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five minutes of steady rain: a handful of sentences, the first of them at once."""
    session, asked = Session(model), []
    describe = session.decoder.describe
    monkeypatch.setattr(session.decoder, "describe", lambda e: asked.append(session.position) or describe(e))
    session.push(rain(300))
    assert asked[0] <= 1.5 * RATE
    assert len(asked) <= 5


ANYTHING_GOES = Captions(confidence=0.0, hedge=0.0, interval=0.0)


@pytest.fixture(scope="module", params=["tiny_bundle", "tiny_int8_bundle"])
def exported(request: pytest.FixtureRequest) -> Model:
    """A random model by the real exporter: it says nonsense, and must say the same nonsense always."""
    return Model.load(Bundle.open(request.getfixturevalue(request.param)))


def test_an_exported_model_speaks(exported: Model) -> None:
    events = events_of(Session(exported, ANYTHING_GOES), [SCENE])
    assert_every_caption_closes(events)
    assert texts(events)


@settings(max_examples=6, deadline=None)
@given(sizes=chunkings())
def test_any_chunking_of_an_exported_model_gives_the_same_events(exported: Model, sizes: list[int]) -> None:
    assert_same_in_any_chunking(lambda: Session(exported, ANYTHING_GOES), SCENE, sizes)


def test_an_exported_model_is_silent_in_silence(exported: Model) -> None:
    session = Session(exported, Captions(confidence=0.0, hedge=0.0, level=-100.0))
    assert session.push(silence(30)) + session.finish() == []


def test_the_window_is_never_overrun(exported: Model) -> None:
    """A segment longer than the adapter takes: the oldest embeddings go."""
    session = Session(exported, ANYTHING_GOES)
    session.push(rain(10))
    segment = session.segmenter.open
    assert segment is not None
    assert segment.count > exported.window == len(segment.embeddings())
    assert session.decoder.describe(segment.embeddings())


def test_a_bundle_without_sentences_says_the_phrase_of_the_sound() -> None:
    """A tagger's: as handmade as the other, its decoder left out."""
    tagger = replace(handmade.model(), decoder=None)
    events = events_of(Session(tagger), [SCENE])
    assert_every_caption_closes(events)
    assert texts(events) == ["A bell rings.", "Possibly a dog barks.", "Rain falls.", "A bell rings."]
    nameless = Labels([Label(name, "") for name in handmade.LABELS])
    assert not captions(events_of(Session(replace(tagger, labels=nameless), ANYTHING_GOES), [SCENE]))


def test_any_chunking_of_a_windowed_encoder_gives_the_same_events() -> None:
    """A graph that takes four chunks at once: between its runs the last answer stands."""
    tagger = replace(handmade.model(), encoder=handmade.windowed_encoder(), decoder=None)
    events = events_of(Session(tagger, ANYTHING_GOES), [SCENE])
    assert_every_caption_closes(events)
    assert texts(events)
    for sizes in ([333], [999, 20_000], [10_240], [40_960]):
        assert_same_in_any_chunking(lambda: Session(tagger, ANYTHING_GOES), SCENE, sizes)
