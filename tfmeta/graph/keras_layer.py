"""What one Keras layer or operation tells about itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tfmeta.errors import GraphError
from tfmeta.graph.rules import Rule
from tfmeta.lazy import keras

# The name that Keras gives a weight without one; the number is of the session.
_COUNTED = re.compile(r"\bvariable_\d+$")


def op(layer: Any) -> str:
    """Returns the name that rules know a layer by: its class, after "ops." where it is a bare operation."""
    name = type(layer).__name__
    return name if isinstance(layer, keras.layers.Layer) else f"ops.{name}"


def config(layer: Any) -> dict[str, Any]:
    """Returns the options of a layer."""
    try:
        return dict(layer.get_config())
    except NotImplementedError:  # of an operation with options that Keras cannot write down
        known = inspect.signature(type(layer)).parameters
        return {key: value for key, value in vars(layer).items() if key in known}


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
