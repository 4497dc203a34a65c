"""TensorFlow's TFLite converter, held to what phones run: batch 1, builtin operators only."""

from __future__ import annotations

import gc
import re
import tempfile
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export.chatter import quiet
from tfmeta.lazy import keras, tf

if TYPE_CHECKING:
    from keras import KerasTensor

INPUT_NAME = "image"
OUTPUT_NAME = "output"

# What Keras calls an Input that was given no name; the number depends on what else the process has
# built.
_GENERATED_NAME = re.compile(r"^(keras_tensor|input_layer|input)(_\d+)?$")
# What the converter says of an operator that has no kernel for 16-bit activations.
_NO_16X8 = re.compile(r"Quantization to 16x8-bit not yet supported for op: '(\w+)'")
_COLOUR = re.compile(r"\x1b\[\d+m")
# What TensorFlow's errors say of the operator that met them.
_MET_IN = re.compile(r"^\{\{.*?\}\} | \[Op:\w+\]$")
_HINT = "TFLite files made here hold builtin operators only, so that every phone can run them."


def with_batch_one(model: keras.Model) -> keras.Model:
    """Returns ``model`` behind an input of batch size 1, with named input and output; weights are
    shared.

    The input keeps a name that the user gave it and is called "image" otherwise; the output is
    called "output". With a free batch dimension the converter computes the shapes of Flatten and
    Reshape on the phone (SHAPE, PACK); with batch 1 they are constants.

    Args:
        model: a built Keras model with one image input `[B, H, W, C]` and one output.

    Raises:
        ExportError: the model is not built, has several inputs or outputs, a shape that is not
            fixed, a fixed batch above 1, or computes in another type than float32.
    """
    source = _only_tensor(model, "input")
    _only_tensor(model, "output")
    shape = tuple(source.shape)
    if None in shape[1:]:
        raise ExportError(
            f"Expected a model with a fixed input shape. Received: {shape}. "
            "Build it with the image size that the phone will feed."
        )
    if shape[0] not in (None, 1):
        raise ExportError(
            f"Expected a model with a free batch size. Received: a batch of {shape[0]}. Build it without batch_size."
        )
    for layer in _layers(model):
        if layer.compute_dtype not in ("float32", None) and layer.weights:
            raise ExportError(
                f"Expected float32 throughout. Received: layer {layer.name!r} that computes in "
                f"{layer.compute_dtype}. Pass tfmeta.graph.precision.in_single_precision(model)."
            )
    name = INPUT_NAME if _GENERATED_NAME.match(source.name) else source.name
    image = keras.Input(batch_shape=(1, *shape[1:]), name=name, dtype=source.dtype)
    # Keras would number the model, and the number would be part of the file.
    return keras.Model(image, {OUTPUT_NAME: model(image, training=False)}, name="batch_one")


def layer_tensors(model: keras.Model) -> dict[str, tuple[KerasTensor, KerasTensor]]:
    """Returns layer name → (what it reads, what it gives), for layers of ``model`` itself with one of each.

    Layers that are called twice, or that read several tensors, give what they give for both.
    """
    found = {}
    for layer in model.layers:
        try:
            # Layers of tf_keras that are part of several models have the tensors of the last at -1.
            given = layer.get_output_at(-1) if hasattr(layer, "get_output_at") else layer.output
            read = layer.input if not isinstance(layer.input, list | dict) else given
        except (AttributeError, ValueError):  # called several times, or never
            continue
        if not isinstance(given, list | dict):
            found[str(layer.name)] = (read, given)
    return found


def tapped(model: keras.Model, tensors: Sequence[KerasTensor]) -> keras.Model:
    """Returns a model from the image of ``model`` to the ``tensors`` in it; weights are shared."""
    maker = keras.Model if isinstance(model, keras.Model) else type(model)  # a functional one of tf_keras
    return maker(model.inputs[0], list(tensors))


def _only_tensor(model: keras.Model, kind: str) -> KerasTensor:
    try:
        tensors = model.inputs if kind == "input" else model.outputs
    except (AttributeError, ValueError):
        tensors = None
    if not tensors:
        raise ExportError(
            f"Expected a built Functional or Sequential model. Received: {type(model).__name__} "
            f"{model.name!r} without an {kind} tensor. Call the model on a keras.Input first."
        )
    if len(tensors) != 1:
        raise ExportError(f"Expected a model with one {kind}. Received: {len(tensors)} {kind}s.")
    return tensors[0]


def make(model: keras.Model) -> Any:
    """Returns a TensorFlow Lite converter for ``model``, which takes builtin operators only.

    The model is traced once, and its weights become constants of that graph before TensorFlow saves anything.
    ``TFLiteConverter.from_keras_model`` gives the same operators, tensor names and signature, but traces and saves
    every layer by itself on the way: 7 s and not 2 s for MobileNetV2 (TF 2.21, Keras 3.15).

    Args:
        model: a built Keras model with one input of a fixed shape, and its outputs named.

    Raises:
        ExportError: the model cannot be traced.
        OSError: the folder for temporary files cannot be written to.
    """
    # Not in TensorFlow's public names, but what its own converter freezes models with.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2 as frozen

    source = model.inputs[0]
    spec = tf.TensorSpec(source.shape, source.dtype, name=_name_in_file(source.name))
    holder = tf.Module()

    def called(image: tf.Tensor) -> Any:
        return model(image, training=False)

    def served(image: tf.Tensor) -> Any:
        return tf.nest.pack_sequence_as(function.structured_outputs, constant(image))

    try:
        with quiet():
            function = tf.function(called, autograph=False).get_concrete_function(spec)
            _forget_gradients(function.graph)
            constant = frozen(function)
            holder.serve = tf.function(served, autograph=False)
            functions = [holder.serve.get_concrete_function(spec)]
            conversion = tf.lite.TFLiteConverter.from_concrete_functions(functions, holder)
    except OSError:
        raise
    except Exception as error:  # what a layer raises when it is called
        raise _explained(error, model) from error
    conversion.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    return conversion


def _name_in_file(name: str) -> str:
    """The name of an input with what TensorFlow takes: with another, it gives the file no signature."""
    return re.sub(r"[^\w.>-]", "_", name.split(":")[0], flags=re.ASCII).lstrip("_>-") or INPUT_NAME


def _forget_gradients(graph: Any) -> None:
    """Takes from operators what they say of their own gradients: with that of swish, nothing can be saved."""
    for operator in graph.get_operations():
        if "_gradient_op_type" in operator.node_def.attr:
            operator._clear_attr("_gradient_op_type")


def run(model: keras.Model, conversion: Any) -> bytes:
    """Returns what ``conversion`` makes of ``model``.

    Args:
        model: the model that the converter was made for, with its input and output named.
        conversion: what `make` returned, with its options set.

    Raises:
        ExportError: an operator has no builtin counterpart (the text names the layer), or the
            converter failed.
        OSError: the folder for temporary files is full, or cannot be written to.
    """
    # Values that are not numbers make the quantizer end the whole process, not raise.
    _refuse_bad_weights(model)
    try:
        with quiet():
            data = bytes(conversion.convert())
            # Where TensorFlow cannot save the model, it makes a file without a signature, and says nothing.
            _require_saved(conversion)
            return data
    except OSError:
        raise
    except Exception as error:  # the converter raises bare Exception, RuntimeError and ValueError alike
        raise _explained(error, model) from error
    finally:
        gc.collect()  # the converter leaves whole graphs in cycles, gigabytes after a few


def _require_saved(conversion: Any) -> None:
    """Saves the model again where the converter could not, and tells the error that it met.

    Raises:
        OSError: the folder for temporary files is full, or cannot be written to.
        Exception: any other, which is one of the model.
    """
    if conversion.saved_model_dir:
        return
    told, cause = "an error that is gone by now", None
    with tempfile.TemporaryDirectory() as folder:
        try:
            tf.saved_model.save(conversion._trackable_obj, folder, signatures=conversion._funcs[0])
        except (OSError, tf.errors.OpError) as error:  # trouble with files has a class of TensorFlow's own, too
            told, cause = _MET_IN.sub("", _told(error)), error
    raise OSError(
        f"TensorFlow could not save the network in {tempfile.gettempdir()!r}, which it does before it converts it: "
        f"{told}. The variable TMPDIR names another folder."
    ) from cause


def layer_of(model: keras.Model, location: str) -> str | None:
    """Returns the name of the layer of ``model`` that ``location`` is in, or None.

    Args:
        model: the model that was converted.
        location: a name that the converter gives to a node or tensor, "model/block/conv_1/Relu".
    """
    return _layer_of({layer.name for layer in _layers(model) if not hasattr(layer, "layers")}, location)


def layers_of(model: keras.Model, tensor: str) -> set[str]:
    """Returns the layers whose work is in ``tensor``: the converter joins the names of what it fuses with ";"."""
    names = {layer.name for layer in _layers(model) if not hasattr(layer, "layers")}
    return {layer for location in tensor.split(";") if (layer := _layer_of(names, location))}


def _layer_of(names: set[str], location: str) -> str | None:
    found = None
    for part in location.split("/"):
        # Keras adds "_1" to the scope when a layer is called for the second time, which is always
        # the case here.
        for candidate in (re.sub(r"_\d+$", "", part), part):
            if candidate in names:
                found = candidate
                break
    return found


def _layers(model: keras.Model) -> Iterator[keras.Layer]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)


def _refuse_bad_weights(model: keras.Model) -> None:
    for weight in model.weights:
        if not np.all(np.isfinite(np.asarray(weight))):
            path = getattr(weight, "path", weight.name)  # Keras 3 tells more than the name
            raise ExportError(
                f"Expected finite weights. Received: NaN or infinity in {path!r}. Train "
                "the model again, with a lower learning rate."
            )


def _explained(error: Exception, model: keras.Model) -> ExportError:
    unsupported = sorted(set(_unsupported(error, model)))
    if unsupported:
        return ExportError(
            "Expected layers that TFLite has builtin operators for. Received: "
            f"{'; '.join(unsupported)}. {_HINT} Replace the layer."
        )
    told = _told(error)
    operator = _NO_16X8.search(told)
    if operator:
        layers = sorted(set(_layers_with(operator.group(1), model)))
        where = f" (layer {', '.join(map(repr, layers))})" if layers else ""
        return ExportError(
            f"Expected operators that TFLite has 16-bit kernels for. Received: {operator.group(1)}{where}. Use relu, "
            'relu6, leaky_relu, sigmoid or tanh there, or export with scheme="int8".'
        )
    return ExportError(f"The TFLite converter failed on model {model.name!r}: {told[:500]}")


def _told(error: Exception) -> str:
    """What an error says in its first line; of a layer's own error, which Keras puts below a line of its own, both."""
    lines = [line for line in _COLOUR.sub("", str(error)).splitlines() if line.strip()] or [type(error).__name__]
    return " ".join(lines[: 2 if lines[0].startswith("Exception encountered when calling") else 1])


def _layers_with(operator: str, model: keras.Model) -> Iterator[str]:
    # The converter names the operator alone; the layers whose type or activation is called alike are told.
    wanted = operator.replace("_", "").lower()
    wanted = {"hardswish": "hardsilu"}.get(wanted, wanted)  # Keras' own name
    for layer in _layers(model):
        activation = getattr(getattr(layer, "activation", None), "__name__", "")
        if wanted in (type(layer).__name__.lower(), activation.replace("_", "").lower()):
            yield str(layer.name)


def _unsupported(error: Exception, model: keras.Model) -> Iterator[str]:
    # ConverterError carries records with the operator's name and the call stack of its node.
    for record in getattr(error, "errors", None) or ():
        operator = record.operator.name
        if not operator:
            continue
        layer = None
        for call in record.location.call:
            layer = layer or layer_of(model, call.name.split("@")[0])
        yield f"{operator} in layer {layer!r}" if layer else operator
