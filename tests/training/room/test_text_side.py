"""The text side: pieces as the library cuts them, the same vector everywhere, learnt from its teacher."""

import json
import shutil
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from edgecap.export.checkpoint import read_checkpoint
from edgecap.export.export import describe
from edgecap.export.quantize import quantize
from edgecap.export.to_onnx import to_onnx
from edgecap.runtime.errors import BundleError, InputMissingError, UsageError
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.manifest import MANIFEST_FILE
from edgecap.runtime.model.text import GRAPH, LONGEST, UNK, VOCABULARY_FILE, TextEncoder, WordPieces
from edgecap.training.data.corpus import Label
from edgecap.training.models import text as model
from edgecap.training.room.text_side import TextSettings, distance, human_captions, tokens_of, train_text
from edgecap.training.run_folder import Run
from tests import tiny_bert

torch.set_num_threads(1)
pytestmark = pytest.mark.timeout(400)  # the first to ask for the tiny bundle exports it

WORDS = ["a", "dog", "bark", "##s", "##ing", "door", "##bell", "smoke", "alarm", "##arm", "rain", "b", "c"]
PIECES = ["[PAD]", "[UNK]", *WORDS]
LABELS = [Label("dog_bark", "a dog barks", "animals"), Label("rain", "rain falls", "weather")]


def reference() -> Tokenizer:
    """The `tokenizers` package, told the same."""
    cut = Tokenizer(models.WordPiece({p: i for i, p in enumerate(PIECES)}, unk_token="[UNK]"))
    cut.normalizer = normalizers.Sequence(
        [
            normalizers.Lowercase(),
            normalizers.NFD(),
            normalizers.StripAccents(),
            normalizers.Replace(Regex("[^a-z0-9]+"), " "),
        ]
    )
    cut.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return cut


SOME_TEXT = st.one_of(
    st.text(max_size=40),
    st.lists(
        st.sampled_from(["dogs", "Doorbell", "smoke-alarm", "RAINING!", "café", "barking", "b", "x9"])
    ).map(" ".join),
    st.lists(st.sampled_from([w.removeprefix("##") for w in WORDS]), max_size=6).map("".join),
)


@given(text=SOME_TEXT)
@settings(max_examples=300, deadline=None)
def test_words_are_cut_as_the_library_cuts_them(text: str) -> None:
    assert WordPieces(PIECES).encode(text) == reference().encode(text).ids[:LONGEST]


def test_a_word_is_cut_from_the_left_into_the_longest_pieces() -> None:
    pieces = WordPieces(PIECES)
    cut = [[pieces.pieces[i] for i in pieces.encode(text)] for text in ("Doorbells", "alarms", "dogfish")]
    assert cut == [["door", "##bell", "##s"], ["alarm", "##s"], ["[UNK]"]]
    assert pieces.encode("a" * 101) == [UNK]
    assert pieces.encode("¿—?") == []


@given(words=st.lists(st.text(tiny_bert.LETTERS, min_size=1, max_size=8), unique=True))
def test_a_vocabulary_survives_its_file(words: list[str]) -> None:
    pieces = WordPieces(["[PAD]", "[UNK]", *words])
    assert WordPieces.parse(pieces.content()).pieces == pieces.pieces


@pytest.mark.parametrize(
    "content", [b"", b"[PAD]\na\n", b"[PAD]\n[UNK]\na\na\n", "[PAD]\n[UNK]\né\n".encode()]
)
def test_a_foreign_vocabulary_is_refused(content: bytes) -> None:
    with pytest.raises(BundleError, match="not a list of word pieces"):
        WordPieces.parse(content)


def small_encoder(sentence: int = 24) -> model.TextEncoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = model.TextConfig(table=8, width=16, heads=2, hidden=32, layers=1, sentence=sentence)
        return model.TextEncoder(config, len(PIECES)).eval()


@torch.inference_mode()
def test_what_stands_beside_it_in_a_batch_changes_nothing() -> None:
    encoder, pieces = small_encoder(), WordPieces(PIECES)
    texts = ["a dog", "rain", "smoke alarm barking doorbells a a a"]
    alone = torch.cat([encoder(tokens_of(pieces, [text])) for text in texts])
    torch.testing.assert_close(encoder(tokens_of(pieces, texts)), alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(alone.norm(dim=1), torch.ones(3))
    assert torch.isfinite(encoder(torch.zeros(1, 3, dtype=torch.int64))).all()  # padding alone


@torch.inference_mode()
def test_a_table_of_whole_bytes_says_nearly_the_same() -> None:
    encoder, pieces = small_encoder(), WordPieces(PIECES)
    tokens = tokens_of(pieces, ["a dog barks", "smoke alarm"])
    likeness = (encoder(tokens) * model.Rounded(encoder)(tokens)[0]).sum(1)
    assert likeness.min() > 0.999  # eight bits: half a percent of a number at most


@pytest.fixture(scope="module")
def speaking_bundle(
    tiny_checkpoint: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The tiny bundle with a text side, as the exporter writes it of a checkpoint that has one."""
    folder = tmp_path_factory.mktemp("text")
    checkpoint = Path(shutil.copytree(tiny_checkpoint, folder / "checkpoint"))
    model.save(small_encoder(), WordPieces(PIECES), checkpoint)
    source = read_checkpoint(checkpoint)
    assert [graph.graph.name for graph in source.graphs][-1] == GRAPH
    content = quantize("text", to_onnx(source.graphs[-1], {"batch": 1}))
    declared = describe(source.graphs[-1], {"batch": 1}, "int8", content)
    bundle = Path(shutil.copytree(tiny_bundle, folder / "bundle"))
    (bundle / declared.file).write_bytes(content)
    (bundle / VOCABULARY_FILE).write_bytes(source.files[VOCABULARY_FILE])
    manifest = Bundle.open(tiny_bundle).manifest
    manifest = msgspec.structs.replace(
        manifest,
        graphs=manifest.graphs | {GRAPH: declared},
        files=manifest.files | {VOCABULARY_FILE: sha256(bundle / VOCABULARY_FILE)},
    )
    (bundle / MANIFEST_FILE).write_bytes(msgspec.json.encode(manifest))
    return bundle


def sha256(path: Path) -> str:
    import hashlib

    return hashlib.sha256(path.read_bytes()).hexdigest()


@torch.inference_mode()
def test_the_edge_reads_words_as_training_does(speaking_bundle: Path) -> None:
    texts = ["A dog barks.", "smoke alarm", "rain " * 50]
    found = TextEncoder(Bundle.open(speaking_bundle)).embed(texts)
    assert (found.shape, found.dtype) == ((3, 24), np.float32)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    rounded = model.Rounded(small_encoder()).eval()
    wanted = rounded(tokens_of(WordPieces(PIECES), texts))[0].numpy()
    assert (found * wanted).sum(1).min() > 0.99  # int8 products, as parity allows
    assert TextEncoder(Bundle.open(speaking_bundle)).embed([]).shape == (0, 24)


def test_a_text_without_words_is_refused(speaking_bundle: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no word in '犬'"):
        TextEncoder(Bundle.open(speaking_bundle)).embed(["dog", "犬"])


def test_a_bundle_without_a_text_side_says_so(tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"can't read words: it has no text\.onnx"):
        TextEncoder(Bundle.open(tiny_bundle))


def test_words_and_sounds_must_share_a_space(speaking_bundle: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(speaking_bundle, tmp_path / "bundle"))
    manifest = json.loads((bundle / MANIFEST_FILE).read_text())
    manifest["graphs"][GRAPH]["outputs"][0]["shape"][-1] = 25
    (bundle / MANIFEST_FILE).write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="not in one space"):
        TextEncoder(Bundle.open(bundle))


# ---- Learning --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Whatever a random BERT says of a text, it can be learnt."""
    return tiny_bert.write(tmp_path_factory.mktemp("bert"), WORDS[:-2])


SMALL = TextSettings(
    steps=60, batch=32, learning_rate=1e-2, warmup=5, average=0.9, captions=(), sentences=30,
    size=model.TextConfig(table=8, width=16, heads=2, hidden=32, layers=1),
)  # fmt: skip


def test_it_comes_near_its_teacher_and_resumes(teacher: Path, tmp_path: Path) -> None:
    encoder, pieces = train_text(LABELS, None, Run(tmp_path, "text"), SMALL, sentences=teacher)
    assert "##bell" in pieces.pieces
    figures = json.loads((tmp_path / "text" / "agreement.json").read_text())
    assert figures["phrases_cosine"] > 0.6  # of phrases that it was never told
    losses = [json.loads(line)["loss"] for line in (tmp_path / "text" / "log.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.7 * losses[0]
    again, _ = train_text(LABELS, None, Run(tmp_path, "text"), SMALL, sentences=teacher)
    assert all(torch.equal(a, b) for a, b in zip(encoder.parameters(), again.parameters(), strict=True))
    model.save(encoder, pieces, tmp_path / "model")
    loaded, words = model.load(tmp_path / "model")
    assert words.pieces == pieces.pieces
    assert torch.equal(loaded.table.weight, encoder.table.weight)


def test_the_distance_is_zero_at_the_teachers_vectors() -> None:
    vectors = torch.nn.functional.normalize(
        torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), dim=1
    )
    assert distance(vectors, vectors, 0.5).abs() < 1e-5
    assert distance(vectors.flip(1), vectors, 0.5) > distance(vectors + 0.1 * vectors.flip(1), vectors, 0.5)


def test_tables_of_captions_that_are_not_there_are_named(tmp_path: Path) -> None:
    assert human_captions(None, "clotho", "train") == []
    with pytest.raises(InputMissingError, match=r"clotho\.csv\.gz"):
        human_captions(tmp_path, "clotho", "train")


def test_a_checkpoint_without_a_text_encoder_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="has no text encoder"):
        model.load(tmp_path)
