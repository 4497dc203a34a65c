"""What the outputs of a network are."""

from __future__ import annotations

from tfmeta.graph import shape_flows
from tfmeta.graph.channel_graph import ChannelGraph, Node

_RESHAPES = (shape_flows.reshape, shape_flows.transpose, shape_flows.move_axis)
_NOTHING = frozenset(
    (
        *("Identity", "ActivityRegularization", "Dropout"),
        *("SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D"),
        *("ops.Cast", "ops.SaturateCast", "ops.Copy", "ops.StopGradient", "ops.ConvertToTensor"),
    )
)


def gives_probabilities(graph: ChannelGraph) -> bool:
    """Returns whether the (first) output of a network is that of a softmax: probabilities, and not logits.

    What comes after the softmax and changes only the shape or the type of the numbers does not count.
    """
    node = graph.nodes[graph.outputs[0].node]
    while _leaves_numbers(node):
        node = graph.nodes[node.inputs[0].node]
    return node.gives_probabilities


def _leaves_numbers(node: Node) -> bool:
    nothing = node.op in _NOTHING or (node.op == "Activation" and node.config.get("activation") == "linear")
    return nothing or node.rule.flow in _RESHAPES
