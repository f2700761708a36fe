"""What carrying the state saves: an encoder hop, streamed and over its window, by ONNX Runtime and torch.

    python benchmarks/streaming.py --size tiny --mels 64

The weights are random: what is measured does not hang on them. A net without state would run its window of
31 hops (9.9 s) at every hop. All take turns in one run; the last column is against the streamed ONNX graph.
"""

import argparse
import sys

import torch

from edgecap.bench import backends
from edgecap.training.models.convnext import SIZES, CausalConvNeXt
from edgecap.training.models.room import encoder_graph, encoder_window_graph


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", choices=sorted(SIZES), default="tiny")
    parser.add_argument("--mels", type=int, default=64)
    parser.add_argument("--live", type=float, default=20.0, help="seconds paced as live")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = CausalConvNeXt(arguments.size, arguments.mels).eval()
    found = list(backends.models([encoder_graph(net), encoder_window_graph(net)], _say))
    timings = backends.measure(found, arguments.live, _say)
    ours = timings[0]
    print(f"{arguments.size} at {arguments.mels} mel bins, one thread, milliseconds a hop\n")
    print("| | tight p50 | p99 | CPU | as live p50 | times |\n|---|---:|---:|---:|---:|---:|")
    for one in timings:
        what = "streamed" if one.graph == "encoder" else "its window recomputed"
        live = "–" if one.paced_p50_ms is None else f"{one.paced_p50_ms:.2f}"
        print(
            f"| {one.backend}, {what} | {one.tight_p50_ms:.2f} | {one.tight_p99_ms:.2f} | {one.cpu_ms:.2f} "
            f"| {live} | {one.cpu_ms / ours.cpu_ms:.1f} |"
        )


def _say(words: str) -> None:
    print(words, file=sys.stderr)


if __name__ == "__main__":
    main()
