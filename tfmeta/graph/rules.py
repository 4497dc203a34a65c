"""The one table of operations: how channels pass through each, and which weights and config fields depend on them.

A rule sees channels as *labels* (`calls`). Most operations act on the labels exactly as they act on the tensor
(concatenating, transposing, repeating), so a rule is a line or two; `flows` and `shape_flows` hold those that rules
share. To support another operation, add one row to `RULES`; to support a layer of your own, call `register`.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tfmeta.errors import GraphError
from tfmeta.graph import flows, following, multiply_adds, shape_flows
from tfmeta.graph.calls import Call, Cut, Flow, Roles
from tfmeta.graph.flows import concatenate, elementwise, same, spatial, whole

__all__ = [
    "Call",
    "Cut",
    "Flow",
    "RULES",
    "Rule",
    "Roles",
    "concatenate",
    "elementwise",
    "register",
    "rule_for",
    "same",
    "spatial",
    "whole",
]


@dataclass(frozen=True)
class Rule:
    """What one kind of layer does with channels.

    Attributes:
        flow: returns the labels of every role; "in" is the input, "out" the output.
        weights: variable name to the role of each of its last axes, None for an axis without channels. Variables of a
            layer inside it have that layer's name before theirs: "conv/kernel". "*" stands for all other names.
            Weights without an entry are copied whole.
        follow: returns the config fields that change with the widths.
        arguments: returns the arguments that the call then has, where some of them depend on the widths.
        macs: multiply-adds as terms (factor, roles): the factor times the channel counts of at most two roles. Layers
            with kernels need it; an empty list counts none.
        in_place: the output can overwrite the input, so it needs no memory of its own.
    """

    flow: Callable[[Flow, Call], Roles]
    weights: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    follow: Callable[[Call, Cut], dict[str, Any]] | None = None
    arguments: Callable[[Call, Cut], tuple[Sequence[Any], dict[str, Any]]] | None = None
    macs: multiply_adds.Count | None = None
    in_place: bool = False

    def roles(self, flow: Flow, call: Call) -> Roles:
        """Returns the labels of every role; where weights have those of the input, those of its last axis."""
        roles = self.flow(flow, call)
        if self.weights and roles.get("in") is call.inputs[0]:  # of `same`, which leaves them as they are
            roles = {**roles, "in": flows.last(flow, call)}
        return roles

    @property
    def follows(self) -> bool:
        """Whether options or arguments of a call change with the widths."""
        return self.follow is not None or self.arguments is not None


def _of(names: str, rule: Rule) -> dict[str, Rule]:
    return dict.fromkeys(names.split(), rule)


_CONVOLUTION = Rule(
    flows.convolution,
    weights={"kernel": ("in_per_group", "out"), "bias": ("out",)},
    follow=following.convolution,
    macs=multiply_adds.convolution,
)
_TRANSPOSED = Rule(
    flows.convolution,
    weights={"kernel": ("out", "in"), "bias": ("out",)},
    follow=following.count("filters"),
    macs=multiply_adds.transposed,
)
_DEPTHWISE = Rule(
    flows.depthwise,
    weights={"kernel": ("in", None), "bias": ("out",)},
    macs=multiply_adds.depthwise,
)
_SEPARABLE = Rule(
    flows.separable,
    weights={"depthwise_kernel": ("in", None), "pointwise_kernel": ("middle", "out"), "bias": ("out",)},
    follow=following.count("filters"),
    macs=multiply_adds.separable,
)
_ATTENTION_WEIGHTS: dict[str, tuple[str | None, ...]] = {
    **{f"{name}/kernel": (role, None, None) for name, role in (("query", "in"), ("key", "key"), ("value", "value"))},
    "gate/kernel": ("in", None, None),
    "attention_output/kernel": ("out",),
    "attention_output/bias": ("out",),
}
_A_CHANNEL: dict[str, tuple[str | None, ...]] = {"*": ("in",)}

RULES: Mapping[str, Rule] = {
    # Layers with weights
    **_of("Conv1D Conv2D Conv3D", _CONVOLUTION),
    **_of("Conv1DTranspose Conv2DTranspose Conv3DTranspose", _TRANSPOSED),
    **_of("DepthwiseConv1D DepthwiseConv2D", _DEPTHWISE),
    **_of("SeparableConv1D SeparableConv2D", _SEPARABLE),
    "Dense": Rule(
        flows.dense,
        weights={"kernel": ("in", "out"), "bias": ("out",)},
        follow=following.count("units"),
        macs=multiply_adds.dense,
    ),
    "MultiHeadAttention": Rule(
        flows.attention,
        weights=_ATTENTION_WEIGHTS,
        follow=following.count("output_shape"),
        macs=multiply_adds.attention,
    ),
    "GroupedQueryAttention": Rule(
        flows.grouped_attention, weights=_ATTENTION_WEIGHTS, macs=multiply_adds.grouped_attention
    ),
    "BatchNormalization": Rule(flows.normalise, weights=_A_CHANNEL, in_place=True),
    **_of("LayerNormalization RMSNormalization", Rule(flows.normalise, weights=_A_CHANNEL)),
    "GroupNormalization": Rule(flows.group_normalise, weights=_A_CHANNEL, follow=following.group_normalise),
    "UnitNormalization": Rule(flows.normalise),
    "PReLU": Rule(spatial, weights=_A_CHANNEL, in_place=True),
    "LayerScale": Rule(spatial, weights=_A_CHANNEL, follow=following.count("projection_dim"), in_place=True),
    # Joins
    **_of("Add Subtract Multiply Average Maximum Minimum CustomScaleLayer", Rule(elementwise)),
    "Concatenate": Rule(concatenate),
    **_of("Dot Attention AdditiveAttention", Rule(whole)),
    "EinsumDense": Rule(whole, macs=multiply_adds.einsum),
    # Shapes
    "Flatten": Rule(shape_flows.reshape, in_place=True),
    "Reshape": Rule(shape_flows.reshape, follow=following.target_shape("target_shape", batch=0), in_place=True),
    "Permute": Rule(shape_flows.transpose),
    "RepeatVector": Rule(shape_flows.repeat_vector),
    # Constants a channel
    "Rescaling": Rule(flows.constants("scale", "offset"), in_place=True),
    "Normalization": Rule(flows.constants(), in_place=True),
    # Activations
    "Activation": Rule(flows.activation, in_place=True),
    "Softmax": Rule(flows.softmax, in_place=True),
    **_of("ReLU LeakyReLU ELU", Rule(same, in_place=True)),
    # Nothing but training
    **_of("Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D AlphaDropout", Rule(same, in_place=True)),
    **_of("GaussianNoise GaussianDropout StochasticDepth ActivityRegularization", Rule(same, in_place=True)),
    **_of("Identity Masking", Rule(same, in_place=True)),
    **_of("RandomFlip RandomTranslation RandomRotation RandomZoom RandomContrast RandomBrightness", Rule(spatial)),
    **_of("RandomCrop RandomPerspective RandomElasticTransform RandomGaussianBlur", Rule(spatial)),
    **_of("RandomHue RandomSaturation RandomErasing RandomGrayscale RandomColorJitter RandAugment", Rule(whole)),
    # Space
    **_of("ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D CenterCrop", Rule(spatial)),
    **_of("UpSampling1D UpSampling2D UpSampling3D Resizing", Rule(spatial)),
    **_of("MaxPooling1D MaxPooling2D MaxPooling3D", Rule(spatial)),
    **_of("AveragePooling1D AveragePooling2D AveragePooling3D", Rule(spatial)),
    **_of("AdaptiveMaxPooling1D AdaptiveMaxPooling2D AdaptiveMaxPooling3D", Rule(spatial)),
    **_of("AdaptiveAveragePooling1D AdaptiveAveragePooling2D AdaptiveAveragePooling3D", Rule(spatial)),
    **_of("GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D", Rule(spatial)),
    **_of("GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D", Rule(spatial)),
    # Operations of keras.ops and of arithmetic on tensors
    **_of("ops.Add ops.Subtract ops.Multiply ops.Divide ops.TrueDivide ops.DivideNoNan ops.Power", Rule(elementwise)),
    **_of("ops.Maximum ops.Minimum ops.Where ops.Greater ops.GreaterEqual ops.Less ops.LessEqual", Rule(elementwise)),
    **_of("ops.Relu ops.Relu6 ops.LeakyRelu ops.Elu ops.Selu ops.Gelu ops.Silu ops.Celu ops.Sigmoid", Rule(same)),
    **_of("ops.LogSigmoid ops.HardSigmoid ops.HardSilu ops.HardTanh ops.Tanh ops.Softplus ops.Softsign", Rule(same)),
    **_of("ops.Absolute ops.Abs ops.Negative ops.Square ops.Sqrt ops.Rsqrt ops.Reciprocal ops.Exp", Rule(same)),
    **_of("ops.Log ops.Log1p ops.Erf ops.Sin ops.Cos ops.Sign ops.Round ops.Floor ops.Ceil", Rule(same)),
    "ops.Clip": Rule(flows.constants("x_min", "x_max")),
    **_of("ops.Cast ops.SaturateCast ops.StopGradient ops.Copy ops.ConvertToTensor", Rule(same)),
    **_of("ops.Softmax ops.LogSoftmax", Rule(flows.softmax)),
    **_of("ops.Mean ops.Sum ops.Max ops.Min ops.Amax ops.Amin ops.Prod ops.Std ops.Var", Rule(shape_flows.reduce)),
    **_of("ops.Matmul ops.Einsum ops.Dot ops.Tensordot ops.Argmax ops.Conv ops.DotProductAttention", Rule(whole)),
    **_of("ops.MaxPool ops.AveragePool ops.Resize", Rule(spatial)),
    **_of("ops.Equal ops.NotEqual ops.LogicalAnd ops.LogicalOr ops.LogicalXor", Rule(elementwise)),
    **_of("ops.Mod ops.FloorDivide ops.Arctan2", Rule(elementwise)),
    **_of("ops.LogicalNot ops.ZerosLike ops.OnesLike ops.TanhShrink ops.HardShrink ops.SoftShrink", Rule(same)),
    **_of("ops.Threshold ops.Squareplus ops.SparsePlus ops.SparseSigmoid ops.Expm1 ops.Log2 ops.Log10", Rule(same)),
    **_of("ops.Normalize ops.RMSNorm ops.LayerNorm ops.Glu ops.Sparsemax", Rule(whole)),
    "ops.DepthToSpace": Rule(shape_flows.depth_to_space),
    "ops.SpaceToDepth": Rule(shape_flows.space_to_depth),
    "ops.Tile": Rule(shape_flows.tile),
    "ops.Flip": Rule(shape_flows.flip),
    "ops.Roll": Rule(shape_flows.roll),
    "ops.Unstack": Rule(shape_flows.unstack),
    "ops.Concatenate": Rule(concatenate),
    "ops.Stack": Rule(flows.stack),
    "ops.Split": Rule(shape_flows.split, follow=following.split),
    "ops.GetItem": Rule(shape_flows.index, arguments=following.index),
    "ops.Reshape": Rule(shape_flows.reshape, follow=following.target_shape("newshape", batch=1)),
    **_of("ops.ExpandDims ops.Squeeze", Rule(shape_flows.reshape)),
    "ops.Transpose": Rule(shape_flows.transpose),
    **_of("ops.Moveaxis ops.Swapaxes", Rule(shape_flows.move_axis)),
    "ops.Repeat": Rule(shape_flows.repeat),
    "ops.BroadcastTo": Rule(shape_flows.broadcast, follow=following.target_shape("shape", batch=1)),
    "ops.Pad": Rule(shape_flows.pad),
}

_registered: dict[str, Rule] = {}


def register(layer: str | type, rule: Rule) -> None:
    """Adds a rule for layers of your own.

    Example:
        A layer that multiplies every channel by a weight `scale` `[C]`, and two functions in `Lambda` layers, of which
        one keeps the channels apart and the other mixes them, so that they must stay::

            tfmeta.rules.register(Scale, tfmeta.rules.Rule(tfmeta.rules.same, weights={"scale": ("in",)}))
            tfmeta.rules.register("double", tfmeta.rules.Rule(tfmeta.rules.same))
            tfmeta.rules.register("shuffle", tfmeta.rules.Rule(tfmeta.rules.whole))

        A layer that makes new channels calls `flow.new` in its own flow, and names the option that says how many. Its
        rule also tells its multiply-adds. Here one with a convolution of 3x3 inside, built with `name="conv"`::

            def block(flow, call):
                roles = tfmeta.rules.spatial(flow, call)  # "in": the channels on the last axis
                return {**roles, "out": flow.new(call.config["filters"]).reshape((1, 1, -1))}

            tfmeta.rules.register(Block, tfmeta.rules.Rule(
                block,
                weights={"conv/kernel": ("in", "out"), "conv/bias": ("out",)},
                follow=lambda call, cut: {"filters": cut.counts["out"]},
                macs=lambda call: [(9 * math.prod(call.output_shape[:-1]), ("in", "out"))],
            ))

        `docs/models.md` explains it; `tfmeta/graph/flows.py` has more patterns.

    Args:
        layer: a layer class, its name, or the name of one layer, which goes before that of its class.
        rule: what it does with channels. A later rule for the same name takes the place of the earlier one.
    """
    _registered[layer if isinstance(layer, str) else layer.__name__] = rule


def rule_for(op: str, layer: str) -> Rule:
    """Returns the rule of the operation ``op``.

    Raises:
        GraphError: there is none; the text names the layer and says what to do.
    """
    for name in (layer, op):
        if name in _registered:
            return _registered[name]
    if op not in RULES:
        alike = [name for name in RULES if name.startswith("ops.") == op.startswith("ops.")]
        near = ", ".join(difflib.get_close_matches(op, alike, n=5))
        raise GraphError(
            f"Layer {layer!r} is a {op}, for which no rule says how channels pass through it"
            f"{near and f' (there are rules for {near})'}. Replace the layer, or add a rule: "
            f"tfmeta.rules.register({op!r}, tfmeta.rules.Rule(tfmeta.rules.whole)) where its channels must "
            "stay, tfmeta.rules.same where it keeps them apart."
        )
    return RULES[op]
