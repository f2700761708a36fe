"""What is done to ONNX graphs wherever one is made or rewritten."""

import onnx


def drop_unused(graph: onnx.GraphProto) -> None:
    """Take out, in place, the nodes whose outputs nobody uses, from the last on, and then such constants."""
    wanted = {output.name for output in graph.output}
    for node in reversed(list(graph.node)):
        if wanted.isdisjoint(node.output):
            graph.node.remove(node)
        else:
            wanted.update(node.input)
    for weight in [weight for weight in graph.initializer if weight.name not in wanted]:
        graph.initializer.remove(weight)
