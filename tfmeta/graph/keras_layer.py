"""What one Keras layer or operation tells about itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tfmeta.errors import GraphError
from tfmeta.graph import activation
from tfmeta.graph.rules import Rule
from tfmeta.lazy import keras

# The name that Keras gives a weight without one; the number is of the session.
_COUNTED = re.compile(r"\bvariable_\d+$")
# Options that may be code.
_CODE = ("activation", "_initializer", "_regularizer", "_constraint")


def op(layer: Any) -> str:
    """Returns the name that rules know a layer by: its class, after "ops." where it is a bare operation."""
    name = type(layer).__name__
    return name if isinstance(layer, keras.layers.Layer) else f"ops.{name}"


def config(layer: Any) -> dict[str, Any]:
    """Returns the options of a layer, with functions and objects of the model's own code as they are."""
    try:
        options = dict(layer.get_config())
    except NotImplementedError:  # of an operation with options that Keras cannot write down
        known = inspect.signature(type(layer)).parameters
        return {key: value for key, value in vars(layer).items() if key in known}
    if not type(layer).from_config.__module__.startswith("keras."):  # it reads its options in its own way
        return options
    return {key: _as_it_is(layer, key, value) for key, value in options.items()}


def _as_it_is(layer: Any, key: str, written: Any) -> Any:
    """The option itself where Keras writes down only a name, by which it may not be found again."""
    if not key.endswith(_CODE) or not isinstance(written, str | dict):
        return written
    used = getattr(layer, key, None)
    if isinstance(written, str):  # a function of one's own may have the name of one of Keras'
        known = not (key.endswith("activation") and callable(used)) or activation.is_called(used, written)
    else:
        known = str(written.get("module")).startswith("keras")
    return written if known or not callable(used) else used


def as_text(option: Any) -> str:
    """Returns an option that is no plain data as a text that is the same in every session."""
    return activation.name_of(option) if callable(option) else str(option)


def maker(layer: Any) -> Callable[[dict[str, Any]], Any]:
    """Returns the function that makes such a layer out of changed options."""
    kind: Any = type(layer)
    if layer is None:  # a constant
        return lambda config: None
    if isinstance(layer, keras.layers.Lambda):  # Keras refuses to make one of options: they hold code
        function, arguments, shape = layer.function, layer.arguments, layer._output_shape
        return lambda config: keras.layers.Lambda(
            function, output_shape=shape, arguments=arguments, name=config["name"], dtype=config["dtype"]
        )
    if isinstance(layer, keras.layers.Layer):
        return lambda config: _from_options(kind, config)

    known = inspect.signature(kind).parameters
    return lambda config: kind(**{key: value for key, value in config.items() if key in known})


def _from_options(kind: Any, config: dict[str, Any]) -> Any:
    try:
        return kind.from_config(config)
    except (TypeError, ValueError) as error:
        reason = str(error).rstrip().splitlines()[-1].removeprefix("Exception encountered: ")
        raise GraphError(
            f"Layer {config['name']!r} ({kind.__name__}) cannot be made again from its own options ({reason}). "
            "Expected a get_config that returns the arguments of __init__; replace the layer, or mend that."
        ) from error


def weights(layer: Any) -> dict[str, Any]:
    """Returns a layer's weights by name, with the name of the inner layer before it where there is one."""
    if not isinstance(layer, keras.layers.Layer):
        return {}
    found: dict[str, Any] = {}
    for weight in layer.weights:
        *_, own = f"/{weight.path}".split(f"/{layer.name}/")
        name = _COUNTED.sub("variable", own.lstrip("/") if own.count("/") <= 1 else weight.name)
        while name in found:
            name += "+"
        found[name] = weight
    return found


def constants(layer: Any, rule: Rule) -> tuple[np.ndarray, ...]:
    """Returns the values of a layer's weights where no rule names them and no training changes them.

    A layer with weights that train, or with layers inside it, has none: its weights are copied like all others.
    """
    if rule.weights or not isinstance(layer, keras.layers.Layer) or layer._trainable_variables or layer._layers:
        return ()
    return tuple(np.asarray(weight) for weight in layer.weights)
