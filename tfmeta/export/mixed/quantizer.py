"""Writes .tflite files whose layers differ in precision, with litert-quantizer. No other module imports it."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export import converter, flatbuffer
from tfmeta.export.chatter import quiet
from tfmeta.export.mixed.bits import FLOAT, INT8, INT16, Bits, BitWidths
from tfmeta.export.rewrite import with_true_versions

if TYPE_CHECKING:
    import keras

_SIGNATURE = "serving_default"
_WITH_KERNEL = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
_TYPES = {FLOAT: "FLOAT32", INT8: "INT8", INT16: "INT16"}


@dataclass(frozen=True)
class Layer:
    """An operator with a kernel.

    Attributes:
        name: the Keras layer that the kernel is of.
        operator: the TFLite operator.
        tensor: name of its output in the float file.
        weights: how many it has, the bias not counted.
    """

    name: str
    operator: str
    tensor: str
    weights: int


class MixedQuantizer:
    """Quantizes one float file again and again, each time with other bits a layer.

    Args:
        path: the float .tflite file of ``model``.
        model: the Keras model, for the names of layers.
        calibration: `[N, H, W, C]` float32 from the training split, as `calibration.check_calibration` let them pass.

    Raises:
        ExportError: litert-quantizer is not installed, or the file is no float file.
    """

    def __init__(self, path: str | os.PathLike[str], model: keras.Model, calibration: np.ndarray) -> None:
        self._path = str(path)
        self.float_data = Path(path).read_bytes()
        contents = flatbuffer.read(path)
        self.layers = _layers(contents, model)
        self._quantizer = _package("quantizer")
        (name,) = contents.inputs
        samples = [{name: image[np.newaxis]} for image in calibration]
        # The whole range, as TFLiteConverter takes it. By default a range is an average over images, which about half
        # of them exceed.
        widest = _package("utils.qsv_utils").min_max_update
        with _silence():
            calibrator = _package("calibrator").Calibrator(self._path, qsv_update_func=widest)
            calibrator.calibrate({_SIGNATURE: samples}, self._rules(BitWidths()))
            self._ranges = calibrator.get_model_qsvs()

    def quantize(self, widths: BitWidths) -> bytes:
        """Returns the file with these bits, with float ends.

        Raises:
            ExportError: no such layer, or a layer did not get the bits that it was to have.
        """
        known = {layer.name for layer in self.layers}
        if unknown := sorted(widths.layers.keys() - known):
            raise ExportError(f"Expected layers out of {', '.join(sorted(known))}. Received: {', '.join(unknown)}.")
        with _silence():
            quantizer = self._quantizer.Quantizer(self._path)
            quantizer.load_quantization_recipe(self._rules(widths).get_quantization_recipe())
            data = bytes(quantizer.quantize(self._ranges).quantized_model)
        self._require(flatbuffer.parse(data), widths)
        return with_true_versions(data)

    def _rules(self, widths: BitWidths) -> Any:
        """The rules of litert-quantizer, of which the last that fits an operator counts."""
        manager = _package("recipe_manager").RecipeManager()
        _add(manager, ".*", widths.others)
        for end in ("INPUT", "OUTPUT"):
            _add(manager, ".*", FLOAT, end)
        for layer in self.layers:
            if layer.name in widths.layers:
                # Not for all operators: the end of the file is one too, and has the name of the tensor before it.
                _add(manager, f"^{re.escape(layer.tensor)};?$", widths.layers[layer.name], layer.operator)
        return manager

    def _require(self, contents: flatbuffer.FlatModel, widths: BitWidths) -> None:
        # litert-quantizer leaves in float, without a word, what it has no rule for.
        operators = [operator for operator in contents.operators if operator.op in _WITH_KERNEL]
        for layer, operator in zip(self.layers, operators, strict=True):
            wanted = widths.layers.get(layer.name, widths.others)
            received = operator.inputs[0].dtype
            if received != _TYPES[wanted]:
                raise ExportError(
                    f"Expected layer {layer.name!r} ({layer.operator}) in {_TYPES[wanted]}. Received: {received}. "
                    "litert-quantizer has no such kernel; give the layer other bits."
                )


def _layers(contents: flatbuffer.FlatModel, model: keras.Model) -> tuple[Layer, ...]:
    outputs = {tensor.index for tensor in contents.outputs.values()}
    kernels = [layer.name for layer in model.layers if any(weight.name == "kernel" for weight in layer.weights)]
    found = []
    for operator in contents.operators:
        if operator.op not in _WITH_KERNEL:
            continue
        (output,), kernel = operator.outputs, operator.inputs[1]
        if kernel.dtype != "FLOAT32":
            raise ExportError(
                f"Expected a float .tflite file, to be quantized. Received: kernels in {kernel.dtype}. Export it with "
                'scheme="fp32" first.'
            )
        names = [name for name in kernels if name in converter.layers_of(model, output.name)]
        if not names and output.index in outputs:  # the output has a name of its own
            names = kernels[-1:]
        found.append(Layer(names[-1] if names else output.name, operator.op, output.name, int(np.prod(kernel.shape))))
    return tuple(found)


def _add(manager: Any, regex: str, bits: Bits, operation: str = "*") -> None:
    types, algorithms = _package("qtyping"), _package("algorithm_manager")
    name = types.TFLOperationName(operation)
    if bits == FLOAT:
        manager.add_quantization_config(regex, name, algorithm_key=algorithms.AlgorithmName.NO_QUANTIZE)
    else:
        manager.add_static_config(regex, name, bits.activations, bits.weights)


def _package(module: str) -> ModuleType:
    try:
        return importlib.import_module(f"litert_quantizer.{module}")
    except ImportError as error:
        raise ExportError(
            f"Expected the package litert-quantizer for mixed precision. Received: {error}. Install it with "
            "pip install 'tfmeta[mixed]'."
        ) from error


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Holds back what litert-quantizer says of every file."""
    with quiet(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors")
        yield
