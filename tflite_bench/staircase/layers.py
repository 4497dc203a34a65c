"""Single layers as .tflite files, written without a converter.

The format: https://github.com/google-ai-edge/LiteRT/blob/main/tflite/converter/schema/schema.fbs, as the classes that
LiteRT brings along.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt

from tflite_bench.errors import OptionsError

KINDS = ("conv", "depthwise", "dense")
DTYPES = ("float32", "int8")

# Large enough that an inference takes much longer than starting it, small enough for a sweep of some minutes.
INPUTS = 64
_SIDE = {"conv": 14, "depthwise": 56}
_DENSE_ROWS = 196
_KERNEL = 3
# value = scale x (stored - zero point)
INPUT_SCALE, INPUT_ZERO_POINT = 0.05, 3
OUTPUT_SCALE, OUTPUT_ZERO_POINT = 0.25, -5
_ALIGNMENT = 16  # of constants, which kernels read in vectors of that size
_IDENTIFIER = b"TFL3"


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer with random weights, and zero padding such that its output has the input's height and width.

    Attributes:
        kind: "conv", a 3x3 convolution from 64 channels; "depthwise", a 3x3 depthwise convolution; "dense", a fully
            connected layer from 64 inputs that is applied to 196 rows.
        channels: of its output.
        dtype: "float32", or "int8" with one scale an output channel.
        seed: of the weights.

    Raises:
        OptionsError: no such kind or dtype, or no channels.
    """

    kind: str
    channels: int
    dtype: str = "float32"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.dtype not in DTYPES:
            raise OptionsError(
                f"Expected a layer among {', '.join(KINDS)} and a type among {', '.join(DTYPES)}. "
                f"Received: {self.kind!r}, {self.dtype!r}."
            )
        if self.channels < 1:
            raise OptionsError(f"Expected at least one channel. Received: {self.channels}.")

    @property
    def name(self) -> str:
        """The file's name, without its ending."""
        return f"{self.kind}-{self.dtype}-{self.channels}"

    @property
    def input_shape(self) -> tuple[int, ...]:
        """NHWC, or rows and inputs of a dense layer."""
        if self.kind == "dense":
            return _DENSE_ROWS, INPUTS
        side = _SIDE[self.kind]
        return 1, side, side, self.channels if self.kind == "depthwise" else INPUTS

    @property
    def output_shape(self) -> tuple[int, ...]:
        """As `input_shape`."""
        return (*self.input_shape[:-1], self.channels)

    @property
    def kernel_shape(self) -> tuple[int, ...]:
        """OHWI, 1HWO of a depthwise convolution, OI of a dense layer."""
        if self.kind == "dense":
            return self.channels, INPUTS
        if self.kind == "depthwise":
            return 1, _KERNEL, _KERNEL, self.channels
        return self.channels, _KERNEL, _KERNEL, INPUTS

    @property
    def channel_axis(self) -> int:
        """The axis of the output channels in `kernel_shape`."""
        return 3 if self.kind == "depthwise" else 0

    def weights(self) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.float32]]:
        """Returns kernel, bias `[channels]` and the kernel's scales `[channels]`, which are 1 in float32."""
        rng = np.random.default_rng(self.seed)
        if self.dtype == "float32":
            drawn = [rng.normal(0, 0.1, shape).astype(np.float32) for shape in (self.kernel_shape, self.channels)]
            return drawn[0], drawn[1], np.ones(self.channels, np.float32)
        kernel = rng.integers(-127, 128, self.kernel_shape, dtype=np.int8)
        scales = rng.uniform(0.001, 0.003, self.channels).astype(np.float32)
        return kernel, rng.integers(-1000, 1000, self.channels, dtype=np.int32), scales


def layer_file(layer: Layer) -> bytes:
    """Returns the .tflite file of ``layer``: one operator between an input and an output."""
    from ai_edge_litert import schema_py_generated as schema  # as heavy as the runtime

    kernel, bias, scales = layer.weights()
    quantized = layer.dtype == "int8"
    activations = schema.TensorType.INT8 if quantized else schema.TensorType.FLOAT32

    def tensor(name: str, shape: tuple[int, ...], kind: int, buffer: int, scale: Any, zero: int, axis: int = 0) -> Any:
        made = schema.TensorT(shape=list(shape), type=kind, buffer=buffer, name=name)
        if quantized:
            scale = np.atleast_1d(np.asarray(scale, np.float32))
            made.quantization = schema.QuantizationParametersT(
                scale=scale, zeroPoint=np.full(len(scale), zero, np.int64), quantizedDimension=axis
            )
        return made

    accumulators = schema.TensorType.INT32 if quantized else schema.TensorType.FLOAT32
    tensors = [
        tensor("input", layer.input_shape, activations, 0, INPUT_SCALE, INPUT_ZERO_POINT),
        tensor("kernel", kernel.shape, activations, 1, scales, 0, layer.channel_axis),
        tensor("bias", bias.shape, accumulators, 2, scales * np.float32(INPUT_SCALE), 0),
        tensor("output", layer.output_shape, activations, 0, OUTPUT_SCALE, OUTPUT_ZERO_POINT),
    ]
    code, options_type, options, version = _operator(schema, layer.kind, quantized)
    operator = schema.OperatorT(inputs=[0, 1, 2], outputs=[3], builtinOptionsType=options_type, builtinOptions=options)
    model = schema.ModelT(
        version=3,
        operatorCodes=[schema.OperatorCodeT(deprecatedBuiltinCode=code, builtinCode=code, version=version)],
        subgraphs=[schema.SubGraphT(tensors=tensors, inputs=[0], outputs=[3], operators=[operator])],
        buffers=[_Constant(schema, array) for array in (None, kernel, bias)],
    )
    builder = flatbuffers.Builder(kernel.nbytes + 4096)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _operator(schema: Any, kind: str, quantized: bool) -> tuple[int, int, Any, int]:
    """The operator's code, the type of its options, these, and the version that the schema asks for."""
    codes, types = schema.BuiltinOperator, schema.BuiltinOptions
    if kind == "dense":
        options = schema.FullyConnectedOptionsT()
        return codes.FULLY_CONNECTED, types.FullyConnectedOptions, options, 12 if quantized else 1
    version = 3 if quantized else 1
    if kind == "conv":
        options = schema.Conv2DOptionsT(padding=schema.Padding.SAME, strideW=1, strideH=1)
        return codes.CONV_2D, types.Conv2DOptions, options, version
    options = schema.DepthwiseConv2DOptionsT(padding=schema.Padding.SAME, strideW=1, strideH=1, depthMultiplier=1)
    return codes.DEPTHWISE_CONV_2D, types.DepthwiseConv2DOptions, options, version


class _Constant:
    """Packs as the schema's ``BufferT`` does, but at a place that kernels can read vectors from."""

    def __init__(self, schema: Any, array: npt.NDArray[Any] | None) -> None:
        self._schema, self._array = schema, array

    def Pack(self, builder: Any) -> int:
        place = None
        if self._array is not None:
            data = self._array.tobytes()
            builder.StartVector(1, len(data), _ALIGNMENT)
            builder.head -= len(data)
            builder.Bytes[builder.head : builder.head + len(data)] = data
            place = builder.EndVector()
        self._schema.BufferStart(builder)
        if place is not None:
            self._schema.BufferAddData(builder, place)
        return int(self._schema.BufferEnd(builder))
