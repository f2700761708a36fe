"""Captions become numbers and back; the sentence model puts what means the same side by side."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.errors import BundleError, InputMissingError
from edgecap.training.sentence import sentence_model
from edgecap.training.tokenizer import BOS, EOS, PAD, UNK, build_tokenizer, open_tokenizer

CAPTIONS = ["A dog barks, and rain falls.", "High-pitched beeps!", "Rain falls; a dog's bark"]
TOKENIZER = build_tokenizer(CAPTIONS)


def test_words_are_lower_case_without_punctuation_but_the_comma() -> None:
    assert TOKENIZER.words[:4] == ["<pad>", "<bos>", "<eos>", "<unk>"]
    assert " ".join(sorted(TOKENIZER.words[4:])) == ", a and bark barks beeps dog falls high pitched rain s"
    assert len(TOKENIZER) == 16


def test_the_same_captions_in_any_order_give_the_same_numbers() -> None:
    assert build_tokenizer(CAPTIONS[::-1]).words == TOKENIZER.words


def test_rare_words_can_be_left_out() -> None:
    assert set(build_tokenizer(CAPTIONS, min_count=2).words[4:]) == {"a", "dog", "rain", "falls"}


def test_a_batch_is_padded_and_long_captions_are_cut_without_eos() -> None:
    tokens = TOKENIZER.encode(["rain falls", "a dog barks, and a cat"], longest=7)
    number = {word: index for index, word in enumerate(TOKENIZER.words)}
    assert tokens.dtype == torch.int64
    assert tokens.tolist() == [
        [BOS, number["rain"], number["falls"], EOS, PAD, PAD, PAD],
        [BOS, number["a"], number["dog"], number["barks"], number[","], number["and"], number["a"]],
    ]
    assert TOKENIZER.encode(["a cat"], longest=7).tolist() == [[BOS, number["a"], UNK, EOS]]


@given(st.lists(st.sampled_from(["a", "dog", "barks", "and", "rain", "falls"]), max_size=8).map(" ".join))
def test_what_is_encoded_is_decoded(caption: str) -> None:
    assert TOKENIZER.decode(TOKENIZER.encode([caption], longest=20)[0].tolist()) == caption


def test_decoding_stops_at_eos_and_sets_commas_to_their_word() -> None:
    tokens = TOKENIZER.encode(["a dog barks, and rain"], longest=20)[0].tolist()
    assert TOKENIZER.decode([*tokens, *tokens]) == "a dog barks, and rain"


def test_the_file_gives_the_tokeniser_back(tmp_path: Path) -> None:
    TOKENIZER.save(tmp_path)
    again = open_tokenizer(tmp_path)
    assert again.words == TOKENIZER.words
    assert again.encode(CAPTIONS, 20).equal(TOKENIZER.encode(CAPTIONS, 20))
    listed = json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
    assert sorted(listed, key=listed.get) == TOKENIZER.words  # what the edge reads


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match=r"has no tokenizer\.json"):
        open_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match="is not a tokeniser"):
        open_tokenizer(tmp_path)
    TOKENIZER.save(tmp_path)
    content = (tmp_path / "tokenizer.json").read_text().replace("<pad>", "<nil>")
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(BundleError, match="its first tokens are"):
        open_tokenizer(tmp_path)


def test_the_packaged_sentence_model_knows_what_means_the_same() -> None:
    embed = sentence_model()
    vectors = embed(["a dog barks", "dogs are barking", "rain falls on a roof"])
    assert vectors.shape == (3, 384)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert vectors[0] @ vectors[1] > 0.7 > 0.4 > vectors[0] @ vectors[2]
    # From sentence-transformers 6.2: SentenceTransformer(get_model_path()).encode(normalize_embeddings=True).
    torch.testing.assert_close(vectors[0] @ vectors[1], torch.tensor(0.8119), rtol=0, atol=1e-3)


def test_a_folder_without_pooling_is_read_as_bge(tmp_path: Path) -> None:
    """CLS: the first token's vector, as BGE-base-en-v1.5 wants it; a tiny random BERT stands in."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=40, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    model = transformers.BertModel(config).eval()
    model.save_pretrained(tmp_path)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "dog", "barks", "rain"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    transformers.BertTokenizer.from_pretrained(tmp_path).save_pretrained(tmp_path)
    with torch.no_grad():
        first = model(input_ids=torch.tensor([[2, 5, 6, 7, 3]])).last_hidden_state[:, 0]
    found = sentence_model(tmp_path)(["a dog barks", "rain"])[:1]
    torch.testing.assert_close(found, first / first.norm(), rtol=0, atol=1e-5)


def test_an_empty_folder_is_no_sentence_model(tmp_path: Path) -> None:
    with pytest.raises(InputMissingError, match="holds no sentence model"):
        sentence_model(tmp_path)
