"""Files written by hand run in LiteRT, and compute what numpy computes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from tflite_bench.errors import OptionsError
from tflite_bench.host.runtime import interpreter_class
from tflite_bench.staircase import layers
from tflite_bench.staircase.layers import DTYPES, KINDS, Layer, layer_file

Floats = npt.NDArray[np.float64]


def real(stored: npt.NDArray[np.int8], scale: float, zero_point: int) -> Floats:
    return scale * (stored.astype(np.float64) - zero_point)


def reference(layer: Layer, inputs: Floats) -> Floats:
    """The layer's output, from its definition."""
    kernel, bias, scales = (array.astype(np.float64) for array in layer.weights())
    if layer.dtype == "int8":
        bias = bias * scales * np.float32(layers.INPUT_SCALE)
    if layer.kind == "dense":
        return inputs @ (kernel * scales[:, None]).T + bias
    _, height, width, _ = layer.input_shape
    padded = np.pad(inputs, ((0, 0), (1, 1), (1, 1), (0, 0)))
    output = np.zeros(layer.output_shape)
    for row in range(3):
        for column in range(3):
            window = padded[:, row : row + height, column : column + width]
            if layer.kind == "depthwise":
                output += window * kernel[0, row, column]
            else:
                output += window @ kernel[:, row, column].T
    return output * scales + bias


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 13, 32])
def test_a_layer_computes_what_it_is_defined_as(kind: str, dtype: str, channels: int) -> None:
    layer = Layer(kind, channels, dtype)
    interpreter = interpreter_class()(model_content=layer_file(layer))
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert tuple(taken["shape"]) == layer.input_shape and tuple(given["shape"]) == layer.output_shape
    rng = np.random.default_rng(1)
    if dtype == "int8":
        stored = rng.integers(-128, 128, layer.input_shape, dtype=np.int8)
        inputs = real(stored, layers.INPUT_SCALE, layers.INPUT_ZERO_POINT)
    else:
        stored = rng.normal(size=layer.input_shape).astype(np.float32)
        inputs = stored.astype(np.float64)
    interpreter.set_tensor(taken["index"], stored)
    interpreter.invoke()
    output, wanted = interpreter.get_tensor(given["index"]), reference(layer, inputs)
    if dtype == "float32":
        np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-4)
        return
    assert len(np.unique(output)) > 20
    least, most = (real(np.int8([end]), layers.OUTPUT_SCALE, layers.OUTPUT_ZERO_POINT) for end in (-128, 127))
    found = real(output, layers.OUTPUT_SCALE, layers.OUTPUT_ZERO_POINT)
    assert np.abs(found - np.clip(wanted, least, most)).max() <= layers.OUTPUT_SCALE * 0.51


def test_constants_can_be_read_in_vectors() -> None:
    for kind in KINDS:
        layer = Layer(kind, 13, "int8")
        content, (kernel, bias, _) = layer_file(layer), layer.weights()
        for array in (kernel, bias):
            assert content.index(array.tobytes()) % 16 == 0


@pytest.mark.parametrize("changes", [{"kind": "pool"}, {"dtype": "int4"}, {"channels": 0}])
def test_other_layers_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(OptionsError, match="Expected a"):
        Layer(**{"kind": "conv", "channels": 8, **changes})  # type: ignore[arg-type]
