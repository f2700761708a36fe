"""export: a checkpoint becomes a bundle."""

from pathlib import Path
from typing import Annotated

import typer

from ..console import note, say


def export(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            metavar="CHECKPOINT", help="The folder that train wrote, or the public ConvNeXt-Tiny's file."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="BUNDLE", help="A folder to write, or a .zip.")
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="onnx|onnx-int8|tensorrt-rtx|tensorrt|triton",
            help="What will run it: onnx-int8 suits any CPU; tensorrt-rtx adds engines for RTX cards, "
            "tensorrt for the GPU here; triton is laid out for a server of many rooms.",
        ),
    ] = "onnx-int8",
    precision: Annotated[
        str,
        typer.Option(
            metavar="fp32|fp16|bf16|int8", help="What it computes in.", show_default="the target's own"
        ),
    ] = "",
    compute_capability: Annotated[
        list[str] | None,
        typer.Option(
            metavar="8.6", help="tensorrt-rtx: build for this GPU; again for another. Without it: portable."
        ),
    ] = None,
    batch: Annotated[
        int, typer.Option(metavar="N", min=1, max=4096, help="The most rooms that one call takes.")
    ] = 1,
    windowed: Annotated[
        bool, typer.Option("--windowed", help="Add the encoder over a whole window, to compare with.")
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="int8: recordings that the ranges of activations are taken from."
        ),
    ] = None,
    static: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GRAPH",
            help="With --calibrate: a graph that uses those ranges; again for another.",
            show_default="encoder",
        ),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option(
            "--verify/--no-verify", help="Stream sound through torch and the files; write only if equal."
        ),
    ] = True,
    minutes: Annotated[
        float, typer.Option(metavar="MINUTES", min=0.1, help="How much sound --verify streams.")
    ] = 10.0,
    sounds: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Recordings for --verify, beside what is synthesised."),
    ] = None,
    onto: Annotated[
        str,
        typer.Option(
            metavar="BUNDLE",
            help="Of a captioner of recordings (thorough.yaml): the bundle that it was taught beside.",
        ),
    ] = "room-small",
) -> None:
    """A checkpoint becomes a bundle that the edge runs, proven to be the same model.

    It is written whole or not at all: what was there before stays until the new one is complete.
    """
    from edgecap.runtime.errors import UnavailableError
    from edgecap.runtime.model.bundle import Bundle

    try:
        from edgecap.export.export import export_bundle
        from edgecap.export.options import Options
        from edgecap.export.thorough import export_thorough, is_thorough
    except ModuleNotFoundError as missing:
        raise UnavailableError(
            f"{missing.name} is not installed",
            why="export needs more than captioning does",
            fix='run: pip install "edgecap[export]"',
        ) from missing

    def progress(step: str) -> None:
        note(f"{step} …")

    if is_thorough(checkpoint):
        bundle = export_thorough(checkpoint, Bundle.open(onto), output, progress)
        say(f"{output}: {bundle.title}. Next: edgecap caption --thorough --bundle {output} FILE")
        return
    wanted = Options(
        target=target,
        precision=precision,
        batch=batch,
        capabilities=tuple(compute_capability or ()),
        windowed=windowed,
        calibrate=calibrate,
        static=tuple(static or ()),
        verify=verify,
        minutes=minutes,
        sounds=sounds,
    )
    manifest = export_bundle(checkpoint, output, wanted, progress)
    proof = "not verified"
    if verify:
        worst = min(figures["cosine"] for figures in manifest.parity.values() if "cosine" in figures)
        proof = f"least cosine to torch {worst:.5f}"
        if "sentences" in manifest.parity:
            same = manifest.parity["sentences"]["agreement"]
            proof += f", {same:.0%} of the sentences the same"
    say(f"{output}: {manifest.name} {manifest.version}, {target}; {proof}")
