"""A small random BERT in a folder: whatever it says of a text can be learnt, and it loads at once."""

from pathlib import Path

import torch

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write(folder: Path, words: list[str], width: int = 16) -> Path:
    """Hugging Face's layout. words: pieces that it knows beside letters and digits."""
    import transformers

    with torch.random.fork_rng():
        torch.manual_seed(0)
        pieces = list(dict.fromkeys([*SPECIALS, *words, *LETTERS, *(f"##{c}" for c in LETTERS)]))
        transformers.BertModel(
            transformers.BertConfig(
                vocab_size=len(pieces), hidden_size=width, num_hidden_layers=1, num_attention_heads=2,
                intermediate_size=2 * width, initializer_range=0.5,
            )
        ).save_pretrained(folder)  # fmt: skip
    (folder / "vocab.txt").write_text("\n".join(pieces))
    transformers.BertTokenizer.from_pretrained(folder).save_pretrained(folder)
    return folder
