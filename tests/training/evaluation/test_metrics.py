"""Metrics of text against golden values and, where they are installed, their reference implementations."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.errors import DataError, UnavailableError
from edgecap.training.evaluation.metrics import text
from edgecap.training.evaluation.metrics.fluency import CHECKER, broken
from edgecap.training.evaluation.metrics.java_metrics import meteor, spice
from edgecap.training.evaluation.metrics.text_scores import score_text

CANDIDATES = ["a man is speaking", "rain falls"]
REFERENCES = [
    [
        "a man speaks.",
        "someone speaks.",
        "a man is speaking while a bird is chirping in the background",
    ],
    ["rain is falling hard on a surface"],
]
WORDS = ["a", "dog", "barks", "rain", "falls", "while", "the", "wind", "blows"]
sentences = st.lists(st.sampled_from(WORDS), min_size=0, max_size=9).map(tuple)
sets = st.lists(
    st.tuples(sentences, st.lists(sentences.filter(bool), min_size=1, max_size=4)), min_size=2, max_size=6
)


def tokenised(
    candidates: list[str], references: list[list[str]]
) -> tuple[list[text.Words], list[list[text.Words]]]:
    return (
        [text.tokenise(one) for one in candidates],
        [[text.tokenise(one) for one in some] for some in references],
    )


@pytest.mark.parametrize(
    ("caption", "words"),
    [
        ("A dog barks, then it's quiet.", "a dog barks then it 's quiet"),
        ("People can't talk; they cannot!", "people ca n't talk they can not"),
        ("“Hello” (far away) - again…", "hello -lrb- far away -rrb- again"),
        ("A p.a. announcement is made. ", "a p.a. announcement is made"),
        ("A high-pitched beep -- twice", "a high-pitched beep twice"),
        ("The 'ding' of the cars' bells", "the ding of the cars bells"),
        ("wind | rain * hail", "wind | rain * hail"),
        ("A café with [two] bells & a 5% “discount”", "a café with -lsb- two -rsb- bells & a 5 % discount"),
        ("", ""),
    ],
)
def test_captions_are_cut_as_the_reference_cuts_them(caption: str, words: str) -> None:
    """Words: java -cp stanford-corenlp-3.4.1.jar edu.stanford.nlp.process.PTBTokenizer -lowerCase."""
    assert " ".join(text.tokenise(caption)) == words


def test_golden_values() -> None:
    """Values of pycocoevalcap; aac-metrics' README prints the same CIDEr-D and BLEU-1."""
    said, wanted = tokenised(CANDIDATES, REFERENCES)
    assert text.bleu(said, wanted) == pytest.approx([0.427848, 0.405892, 0.438965, 0.456500], abs=1e-6)
    assert text.rouge_l(said, wanted) == pytest.approx([0.772152, 0.201987], abs=1e-6)
    assert text.cider_d(said, wanted) == pytest.approx([1.364055, 0.558655], abs=1e-6)
    assert text.vocabulary(said) == 6


def test_cider_changes_when_the_set_is_split() -> None:
    said, wanted = tokenised(
        ["a dog barks", "rain is falling", "a dog growls", "wind blows"],
        [["a dog barks"], ["rain falls on a roof"], ["a dog growls twice"], ["the wind blows"]],
    )
    whole = text.cider_d(said, wanted)
    halves = np.concatenate([text.cider_d(said[i : i + 2], wanted[i : i + 2]) for i in (0, 2)])
    assert not np.allclose(whole, halves, rtol=0.05)


@given(sets)
def test_a_perfect_caption_is_never_beaten_and_order_is_nothing(
    clips: list[tuple[text.Words, list[text.Words]]],
) -> None:
    said, wanted = [clip[0] for clip in clips], [clip[1] for clip in clips]
    perfect = [some[0] for some in wanted]
    assert np.all(text.rouge_l(perfect, wanted) > 1 - 1e-9)
    single = [some[:1] for some in wanted]
    assert np.all(text.cider_d(perfect, single) >= text.cider_d(said, single) - 1e-9)
    assert np.all(text.cider_d(said, wanted) <= 10 + 1e-9)
    assert text.cider_d(said[::-1], wanted[::-1]) == pytest.approx(text.cider_d(said, wanted)[::-1])
    assert text.bleu(perfect, single)[0] == pytest.approx(1.0, abs=1e-6)


@given(sets)
def test_scores_are_those_of_the_reference_implementation(
    clips: list[tuple[text.Words, list[text.Words]]],
) -> None:
    pytest.importorskip("pycocoevalcap")
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer
    from pycocoevalcap.cider.cider_scorer import CiderScorer
    from pycocoevalcap.rouge.rouge import Rouge

    said, wanted = [clip[0] for clip in clips], [clip[1] for clip in clips]
    bleu, cider = BleuScorer(), CiderScorer()
    for candidate, some in clips:
        pair = " ".join(candidate), [" ".join(one) for one in some]
        bleu += pair
        cider += pair
    assert text.bleu(said, wanted) == pytest.approx(bleu.compute_score("closest")[0], abs=1e-12)
    assert text.cider_d(said, wanted) == pytest.approx(cider.compute_score()[1], abs=1e-9)
    rouge = [Rouge().calc_score([" ".join(c)], [" ".join(one) for one in some]) for c, some in clips]
    assert text.rouge_l(said, wanted) == pytest.approx(rouge, abs=1e-12)


@pytest.mark.slow  # its tables take half a minute to load on a busy machine
def test_meteor_is_that_of_the_reference_implementation() -> None:
    pytest.importorskip("pycocoevalcap")
    if shutil.which("java") is None:
        pytest.skip("there is no java")
    said, wanted = tokenised(CANDIDATES, REFERENCES)
    assert meteor(said, wanted)[0] == pytest.approx(0.263381, abs=1e-6)
    _, each = meteor([*said, ()], [*wanted, [("rain", "falls")]])
    assert each[2] == 0.0  # nothing said scores nothing, and stops nothing


def test_what_cannot_be_computed_is_absent_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))  # no java is there

    def embed(sentences: list[str]) -> torch.Tensor:  # a bag of letters: near where letters are shared
        counts = torch.tensor([[one.count(letter) for letter in "abdefiknrs"] for one in sentences])
        return torch.nn.functional.normalize(counts.float(), dim=1)

    scored = score_text([*CANDIDATES, ""], [*REFERENCES, ["rain"]], embed, "letters", tmp_path)
    assert {"METEOR", "SPICE", "SPIDEr", "SPIDEr-FL", "FER", "FENSE"} <= scored.absent.keys()
    assert not scored.absent.keys() & scored.scores.keys()
    assert "spice-1.0.jar" in scored.absent["SPICE"]
    assert CHECKER in scored.absent["FENSE"]
    assert scored.each["similarity (letters)"][2] == 0.0
    assert scored.scores["similarity (letters)"] == pytest.approx(
        np.mean(scored.each["similarity (letters)"])
    )
    assert "--assets" in score_text(CANDIDATES, REFERENCES, embed).absent["FENSE"]


def test_spice_says_why_it_failed(tmp_path: Path) -> None:
    if shutil.which("java") is None:
        pytest.skip("there is no java")
    (tmp_path / "lib").mkdir()
    for part in ("spice-1.0.jar", "lib/stanford-corenlp-3.6.0-models.jar"):
        (tmp_path / part).write_bytes(b"not a jar")
    said, wanted = tokenised(CANDIDATES, REFERENCES)
    with pytest.raises(UnavailableError, match=r"SPICE failed.*jar"):
        spice(said, wanted, tmp_path)


def test_broken_captions_are_told_by_the_released_layout(tmp_path: Path) -> None:
    """A checker in FENSE's layout whose last class hangs on one word: what holds it is broken."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    base = tmp_path / "bert-base-uncased"
    base.mkdir()
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "barks", "and"]
    (base / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(vocab={word: i for i, word in enumerate(words)}).save_pretrained(base)
    config = BertConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8
    )
    config.save_pretrained(base)
    torch.manual_seed(0)
    encoder = BertModel(config).eval()
    captions = ["a dog barks", "a dog barks and"]
    with torch.no_grad():
        ids = [torch.tensor([[2, 5, 6, 7, 3]]), torch.tensor([[2, 5, 6, 7, 8, 3]])]
        whole, cut = (encoder(one).last_hidden_state[0, 0] for one in ids)
    axis = (cut - whole) * 20 / (cut - whole).square().sum()
    state = {f"encoder.{name}": value for name, value in encoder.state_dict().items()}
    state["encoder.embeddings.position_ids"] = torch.arange(512)[None]  # as old versions wrote it
    state["clf.weight"] = torch.stack([torch.zeros(8)] * 4 + [axis])
    state["clf.bias"] = torch.stack([torch.tensor(0.0)] * 4 + [-axis @ (whole + cut) / 2])
    torch.save({"model_type": "bert-base-uncased", "num_classes": 5, "state_dict": state}, tmp_path / CHECKER)
    assert broken(captions, tmp_path).tolist() == [False, True]
    (tmp_path / CHECKER).write_bytes(b"half a file")
    with pytest.raises(DataError, match="detector of broken captions"):
        broken(captions, tmp_path)


def test_sets_that_cannot_be_scored_are_refused() -> None:
    with pytest.raises(DataError, match="alone"):
        text.cider_d([("rain",)], [[("rain",)]])
    with pytest.raises(DataError, match="without a reference"):
        text.bleu([("rain",)] * 2, [[("rain",)], []])
    with pytest.raises(DataError, match="2 candidates"):
        text.rouge_l([("rain",)] * 2, [[("rain",)]])
