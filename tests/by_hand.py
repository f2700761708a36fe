"""A bundle on disk whose every sentence is known."""

import hashlib
import json
from pathlib import Path

import msgspec

from edgecap.runtime.model.manifest import FORMAT, GraphFile, Manifest, Thresholds, audio_contract
from tests import handmade


def write_bundle(folder: Path) -> Path:
    """The model made by hand, as a bundle on disk: it names bells, dogs and rain."""
    folder.mkdir()
    model = handmade.model()
    decoder = model.decoder
    assert decoder is not None
    engines = (model.encoder, decoder.adapter, decoder.prefill, decoder.step)
    contents = {
        "encoder": handmade.encoder_bytes(),
        "adapter": handmade.graph(handmade.ADAPTER),
        "decoder_prefill": handmade.graph(handmade.PREFILL),
        "decoder_step": handmade.graph(handmade.STEP, tables=handmade._tables(), bigrams=handmade._bigrams()),
    }
    graphs: dict[str, GraphFile] = {}
    for (name, content), engine in zip(contents.items(), engines, strict=True):
        file = f"{name}.onnx"
        (folder / file).write_bytes(content)
        graphs[name] = msgspec.structs.replace(
            engine.graph, file=file, sha256=hashlib.sha256(content).hexdigest(), opset=20
        )
    rows = zip(handmade.LABELS, handmade.PHRASES, strict=True)
    (folder / "labels.csv").write_text("label,phrase,category\n" + "".join(f"{a},{b},x\n" for a, b in rows))
    vocabulary = {word: i for i, word in enumerate(handmade.WORDS)}
    (folder / "tokenizer.json").write_text(json.dumps({"model": {"type": "WordLevel", "vocab": vocabulary}}))
    manifest = Manifest(
        format=FORMAT, name="by-hand", version="1", created="2026-01-31T10:00:00Z", licence="MIT",
        audio=audio_contract(handmade.MELS), labels=len(handmade.LABELS), window=handmade.WINDOW,
        graphs=graphs, thresholds=Thresholds(novelty=0.3),
        files={name: _sha256(folder / name) for name in ("labels.csv", "tokenizer.json")},
    )  # fmt: skip
    (folder / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    return folder


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
