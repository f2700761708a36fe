"""A bundle opens if it is whole, wherever it lies; else it is refused with the reason and the fix."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecap.runtime.errors import BundleError, InputMissingError
from edgecap.runtime.model import bundle as bundles
from edgecap.runtime.model.bundle import Bundle
from edgecap.runtime.model.engine import Engine
from edgecap.runtime.model.manifest import Graph, Label, Manifest, Tensor
from edgecap.runtime.model.onnx_file import OnnxFacts, read_onnx_facts
from edgecap.runtime.session import Model, Session


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Rewrite manifest.json."""
    path = folder / "manifest.json"
    manifest = json.loads(path.read_bytes())
    change(manifest)
    path.write_text(json.dumps(manifest), encoding="utf-8")


def replace(folder: Path, name: str, content: bytes) -> None:
    """Replace a graph's file, and let the manifest agree with it."""
    (folder / f"{name}.onnx").write_bytes(content)
    edit(folder, lambda m: m["graphs"][name].update(sha256=hashlib.sha256(content).hexdigest()))


def zipped(folder: Path, target: Path, top: str = "") -> Path:
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, top + file.name)
    return target


# --- where it lies does not matter ----------------------------------------------------------------


def test_a_copy_a_move_and_a_zip_open_alike(bundle_copy: Path, tmp_path: Path) -> None:
    at_first = Bundle.open(bundle_copy)
    flat = zipped(bundle_copy, tmp_path / "flat.zip")
    nested = zipped(bundle_copy, tmp_path / "nested.zip", "room-tiny/")
    moved = bundle_copy.rename(tmp_path / "elsewhere")
    for path in (moved, flat, nested):
        opened = Bundle.open(path)
        assert (opened.manifest, opened.labels) == (at_first.manifest, at_first.labels)
        Session(Model.load(opened))
        assert opened.tokenizer() == (moved / "tokenizer.json").read_bytes()
        assert opened.size("encoder.onnx") == (moved / "encoder.onnx").stat().st_size
    assert at_first.title == "room-tiny 0.1"
    assert at_first.labels[0] == Label("dog", "a dog barks", "animal")


def test_a_shipped_bundle_opens_by_name(bundle_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundles, "SHIPPED", bundle_copy.parent)
    monkeypatch.chdir("/")
    assert Bundle.open("room-tiny").path == bundle_copy
    with pytest.raises(
        InputMissingError, match="no bundle 'room-huge': it is no path, and what ships here is room-tiny"
    ):
        Bundle.open("room-huge")


def test_a_path_goes_before_a_shipped_name(
    bundle_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundles, "SHIPPED", tmp_path)
    shutil.copytree(bundle_copy, tmp_path / "mine" / "room-tiny")
    monkeypatch.chdir(tmp_path / "mine")
    assert Bundle.open("room-tiny").path == Path("room-tiny")


def test_a_link_inside_the_bundle_is_followed(bundle_copy: Path) -> None:
    (bundle_copy / "encoder.onnx").rename(bundle_copy / "real.onnx")
    (bundle_copy / "encoder.onnx").symlink_to("real.onnx")
    assert Bundle.open(bundle_copy).graph("encoder") == bundle_copy.resolve() / "real.onnx"


def test_the_manifest_survives_a_round_trip(tiny_bundle: Path) -> None:
    manifest = Bundle.open(tiny_bundle).manifest
    assert msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest) == manifest


def test_state_pairs_are_named_after_their_inputs() -> None:
    graph = Graph("encoder", (), (), (Tensor("s0_b0", (1, 8, 6, 8)), Tensor("s0_b1", (1, 8, 6, 8))))
    assert graph.state_pairs() == {"s0_b0": "new_s0_b0", "s0_b1": "new_s0_b1"}


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_a_folder_that_is_no_bundle_is_never_a_shipped_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BundleError, match=r"is not a bundle: it has no manifest.json"):
        Bundle.open(name)


# --- what is refused ------------------------------------------------------------------------------


def link_out(file: Path) -> None:
    file.rename(file.parent.parent / "outside.onnx")
    file.symlink_to("../outside.onnx")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated graph": (
        lambda b: (b / "adapter.onnx").write_bytes((b / "adapter.onnx").read_bytes()[:-100]),
        r"adapter.onnx does not match the manifest's sha256: the copy is incomplete or was edited",
    ),
    "missing graph": (
        lambda b: (b / "decoder_step.onnx").unlink(),
        r"decoder_step.onnx is missing: the copy is incomplete. Copy the bundle again",
    ),
    "edited labels": (
        lambda b: (b / "labels.csv").write_text("label,phrase,category\n"),
        r"labels.csv does not match the manifest's sha256",
    ),
    "no manifest": (
        lambda b: (b / "manifest.json").unlink(),
        r"is not a bundle: it has no manifest.json. Name the folder that edgecap export wrote",
    ),
    "damaged manifest": (
        lambda b: (b / "manifest.json").write_text('{"format": 1, '),
        r"manifest.json is damaged: .*[Cc]opy the bundle again",
    ),
    "another program's json": (
        lambda b: (b / "manifest.json").write_text('{"model": "bert", "layers": 12}'),
        r"manifest.json is not a bundle's manifest: .*`format`",
    ),
    "a later format": (
        lambda b: edit(b, lambda m: m.update(format=2, graphs="laid out anew")),
        r"manifest.json is of format 2: this edgecap reads format 1. Update edgecap",
    ),
    "wrong type deep inside": (
        lambda b: edit(b, lambda m: m["graphs"]["encoder"].update(opset="twenty")),
        r"does not fit format 1: .*\$\.graphs\[\.\.\.\]\.opset",
    ),
    "unknown precision": (
        lambda b: edit(b, lambda m: m["graphs"]["encoder"].update(precision="int3")),
        r"does not fit format 1: Invalid enum value 'int3'",
    ),
    "path that climbs out": (
        lambda b: edit(b, lambda m: m["graphs"]["encoder"].update(file="../secret.onnx")),
        r"'../secret.onnx' would leave the bundle: .*relative paths",
    ),
    "absolute path": (
        lambda b: edit(b, lambda m: m["graphs"]["encoder"].update(file="/etc/passwd")),
        r"'/etc/passwd' would leave the bundle",
    ),
    "Windows path": (
        lambda b: edit(b, lambda m: m["graphs"]["encoder"].update(file="..\\secret.onnx")),
        r"would leave the bundle",
    ),
    "link that leads out": (
        lambda b: link_out(b / "encoder.onnx"),
        r"'encoder.onnx' would leave the bundle: it is a link to .*outside.onnx",
    ),
    "other sample rate": (
        lambda b: edit(b, lambda m: m["audio"].update(rate=16000)),
        r"was trained on other sound: its audio.rate is 16000, this edgecap makes 32000",
    ),
    "more labels than scores": (
        lambda b: edit(b, lambda m: m.update(labels=5)),
        r"encoder's scores does not fit the rest of the manifest: its last axis is 4, expected 5",
    ),
    "mel bins that the encoder does not take": (
        lambda b: edit(b, lambda m: m["audio"].update(mels=64)),
        r"encoder's log_mel does not fit .*: its last axis is 32, expected 64",
    ),
    "nothing to hear with": (
        lambda b: edit(b, lambda m: m["graphs"].pop("encoder")),
        r"has no encoder: nothing could be heard with it",
    ),
    "no words": (
        lambda b: edit(b, lambda m: m["files"].pop("tokenizer.json")),
        r"the manifest does not list tokenizer.json",
    ),
    "not an ONNX graph": (
        lambda b: replace(b, "adapter", b"\x00" * 64),
        r"adapter.onnx is not an ONNX graph: it is not an ONNX model",
    ),
    "another opset than promised": (
        lambda b: edit(b, lambda m: m["graphs"]["encoder"].update(opset=17)),
        r"encoder.onnx is of opset 20 where the manifest says 17",
    ),
}


@pytest.mark.parametrize(("spoil", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_whole_is_refused(
    bundle_copy: Path, spoil: Callable[[Path], object], reason: str
) -> None:
    spoil(bundle_copy)
    with pytest.raises(BundleError, match=reason) as refused:
        Bundle.open(bundle_copy)
    assert str(bundle_copy) in str(refused.value)
    assert refused.value.fix
    assert refused.value.code == 65


def relabel(bundle: Path, text: str) -> None:
    (bundle / "labels.csv").write_text(text, encoding="utf-8")
    edit(bundle, lambda m: m["files"].update({"labels.csv": hashlib.sha256(text.encode()).hexdigest()}))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name;text\n", "is not a table of sounds: its first line is not label,phrase,category"),
        ("label,phrase,category\ndog,a dog barks,animal\n", "has 1 sounds where the manifest says 4"),
    ],
)
def test_labels_that_fit_nothing_are_refused(bundle_copy: Path, text: str, reason: str) -> None:
    relabel(bundle_copy, text)
    with pytest.raises(BundleError, match=reason):
        Bundle.open(bundle_copy)


def test_a_graph_with_weights_elsewhere_is_refused(bundle_copy: Path) -> None:
    model = onnx.load(bundle_copy / "adapter.onnx")
    onnx.save(
        model,
        bundle_copy.parent / "adapter.onnx",
        save_as_external_data=True,
        location="weights.bin",
        size_threshold=0,
    )
    shutil.copy(bundle_copy.parent / "weights.bin", bundle_copy)
    replace(bundle_copy, "adapter", (bundle_copy.parent / "adapter.onnx").read_bytes())
    with pytest.raises(BundleError, match=r"adapter.onnx wants data from another file"):
        Bundle.open(bundle_copy)


def test_a_file_edited_after_opening_is_noticed(bundle_copy: Path) -> None:
    opened = Bundle.open(bundle_copy)
    (bundle_copy / "tokenizer.json").write_text("{}")
    with pytest.raises(BundleError, match=r"tokenizer.json does not match"):
        opened.tokenizer()


def test_a_graph_that_is_not_there_is_named(tiny_bundle: Path) -> None:
    with pytest.raises(BundleError, match=r"has no text: its graphs are encoder, adapter, decoder_prefill"):
        Bundle.open(tiny_bundle).graph("text")


def test_a_graph_of_another_model_is_refused_as_it_loads(bundle_copy: Path) -> None:
    replace(bundle_copy, "decoder_prefill", (bundle_copy / "adapter.onnx").read_bytes())
    with pytest.raises(
        BundleError, match=r"decoder_prefill.onnx is not the graph that the manifest declares"
    ):
        Model.load(Bundle.open(bundle_copy))


def test_an_opset_of_the_future_is_refused_as_it_loads(bundle_copy: Path) -> None:
    model = onnx.load(bundle_copy / "encoder.onnx")
    model.opset_import[0].version = 999
    replace(bundle_copy, "encoder", model.SerializeToString())
    edit(bundle_copy, lambda m: m["graphs"]["encoder"].update(opset=999))
    with pytest.raises(BundleError, match=r"(?i)encoder.onnx does not load: .*opset"):
        Model.load(Bundle.open(bundle_copy))


# --- .zip -----------------------------------------------------------------------------------------


def test_a_zip_that_is_cut_off_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    whole = zipped(tiny_bundle, tmp_path / "whole.zip")
    cut = tmp_path / "cut.zip"
    cut.write_bytes(whole.read_bytes()[:-1000])
    with pytest.raises(BundleError, match=r"cut.zip can't be read as a .zip: .*Copy the bundle again"):
        Bundle.open(cut)


def test_a_zip_with_a_flipped_bit_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    path = zipped(tiny_bundle, tmp_path / "flipped.zip")
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        content[archive.getinfo("encoder.onnx").header_offset + 5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(BundleError, match=r"encoder.onnx (can't be read|does not match)"):
        Bundle.open(path)


@pytest.mark.parametrize("name", ["../evil.onnx", "/evil.onnx", "a/../../evil.onnx", "c:evil.onnx"])
def test_a_zip_that_would_unpack_elsewhere_is_refused(tiny_bundle: Path, tmp_path: Path, name: str) -> None:
    path = zipped(tiny_bundle, tmp_path / "evil.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, b"")
    with pytest.raises(BundleError, match=r"would leave the bundle"):
        Bundle.open(path)


def test_a_zip_with_a_link_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    path = zipped(tiny_bundle, tmp_path / "linked.zip")
    link = zipfile.ZipInfo("extra.onnx")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(BundleError, match=r"'extra.onnx' would leave the bundle: it is a link"):
        Bundle.open(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")  # zipfile's own, as the test makes such a file
def test_a_zip_with_a_name_twice_is_refused(tiny_bundle: Path, tmp_path: Path) -> None:
    path = zipped(tiny_bundle, tmp_path / "twice.zip")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("manifest.json", "{}")
    with pytest.raises(BundleError, match=r"holds a file twice"):
        Bundle.open(path)


def test_a_file_that_is_no_zip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"what is this")
    with pytest.raises(BundleError, match=r"model.onnx can't be read as a .zip: File is not a zip file"):
        Bundle.open(path)


# --- garbage gives our error, or nothing ----------------------------------------------------------


@given(st.binary(max_size=200))
def test_no_bytes_make_the_onnx_reader_stumble(data: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(read_onnx_facts(data), OnnxFacts)


@given(cut=st.floats(0, 1), at=st.floats(0, 1), byte=st.integers(0, 255))
def test_a_spoilt_graph_is_read_or_refused(cut: float, at: float, byte: int, tiny_bundle: Path) -> None:
    data = bytearray((tiny_bundle / "decoder_prefill.onnx").read_bytes())
    assert read_onnx_facts(data) == OnnxFacts(20, False)
    data[int(at * (len(data) - 1))] = byte
    del data[int(cut * len(data)) :]
    with suppress(ValueError):
        read_onnx_facts(bytes(data))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)


@given(key=st.sampled_from(sorted(Manifest.__struct_fields__)), value=JSON)
def test_any_value_of_any_key_opens_or_is_refused(key: str, value: object, tiny_bundle: Path) -> None:
    class Edited:
        """The tiny bundle's files, with one key of the manifest changed."""

        path = tiny_bundle

        def read(self, file: str) -> bytes:
            content = (tiny_bundle / file).read_bytes()
            return json.dumps(json.loads(content) | {key: value}).encode()

    with suppress(BundleError):
        read = bundles._read_manifest(Edited())  # type: ignore[arg-type]  # as much of Files as is used
        bundles._check_sizes(tiny_bundle, read)


def test_engine_takes_a_path_or_bytes(tiny_bundle: Path) -> None:
    opened = Bundle.open(tiny_bundle)
    graph = opened.manifest.graphs["encoder"]
    for source in (opened.graph("encoder"), opened.read("encoder.onnx")):
        assert set(Engine("encoder", source, graph).initial_state()) == {port.name for port in graph.state}
