"""A bundle laid out as a Triton model repository, so that one GPU server hears many rooms.

    encoder/config.pbtxt  encoder/1/model.onnx  adapter/…  (beside manifest.json, labels.csv, tokenizer.json)

Each graph becomes a model. One whose tensors all begin with the batch is batched by the server: with state,
by sequence, the state staying on the server between a room's chunks (one sequence a room, its first
request marked as the start); without, dynamically. What has its batch elsewhere is served as it is, its
state among its inputs and outputs.
The text is the protobuf `ModelConfig` of Triton's model_config.proto; a test parses it by that schema.
"""

from collections.abc import Sequence

from ..runtime.audio import CHUNK_SAMPLES, RATE
from ..runtime.model.manifest import Graph, Tensor

IDLE_S = 30
"""A room silent for so long has gone: its state is dropped."""
DELAY_US = round(CHUNK_SAMPLES / RATE * 1e6 / 64)
"""How long a chunk waits for others to share a batch: a 64th of the time until the next one, 5 ms."""
_TYPES = {"float32": "TYPE_FP32", "int64": "TYPE_INT64"}


def paths(name: str) -> tuple[str, str]:
    """Where a graph's configuration and its ONNX file lie in the repository."""
    return f"{name}/config.pbtxt", f"{name}/1/model.onnx"


def triton_config(graph: Graph, batch: int) -> str:
    """config.pbtxt of a graph whose batch is open. batch: the most rooms in one call."""
    is_batched = all(port.shape[:1] == ("batch",) for port in (*graph.inputs, *graph.outputs, *graph.state))
    skip = 1 if is_batched else 0  # Triton adds the batch to the dimensions by itself
    inputs, outputs = graph.inputs, graph.outputs
    if not is_batched:
        inputs += graph.state
        outputs += tuple(Tensor(graph.state_pairs()[t.name], t.shape, t.dtype) for t in graph.state)
    lines = [
        f'name: "{graph.name}"',
        'backend: "onnxruntime"',
        f"max_batch_size: {batch if is_batched else 0}",
        *_ports("input", inputs, skip),
        *_ports("output", outputs, skip),
    ]
    if is_batched:
        lines += _sequences(graph, batch) if graph.state else [f"dynamic_batching {{ {_delay()} }}"]
    return "\n".join(lines) + "\n"


def _sequences(graph: Graph, batch: int) -> list[str]:
    """Sequence batching with implicit state: the server pairs each state's input and output."""
    lines = [
        "sequence_batching {",
        f"  max_sequence_idle_microseconds: {IDLE_S * 1_000_000}",
        f"  oldest {{ max_candidate_sequences: {batch} {_delay()} }}",
    ]
    for port in graph.state:
        kind, dims = _TYPES[port.dtype], _dims(port, 1)
        lines += [
            "  state {",
            f'    input_name: "{port.name}"',
            f'    output_name: "{graph.state_pairs()[port.name]}"',
            f"    data_type: {kind}",
            f"    {dims}",
            f'    initial_state {{ name: "start" data_type: {kind} {dims} zero_data: true }}',
            "  }",
        ]
    return [*lines, "}"]


def _ports(field: str, ports: Sequence[Tensor], skip: int) -> list[str]:
    return [
        f'{field} {{ name: "{port.name}" data_type: {_TYPES[port.dtype]} {_dims(port, skip)} }}'
        for port in ports
    ]


def _dims(port: Tensor, skip: int) -> str:
    sizes = (str(size) if isinstance(size, int) else "-1" for size in port.shape[skip:])
    return f"dims: [ {', '.join(sizes)} ]"


def _delay() -> str:
    return f"max_queue_delay_microseconds: {DELAY_US}"
