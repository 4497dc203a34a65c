"""From the text that a user types (``--model``) to a Keras model.

| text | model |
|---|---|
| `mobilenet_v1` | a family of `NETWORKS`, built for the data set |
| `mobilenet_v1?width=0.25&blocks=8` | the same with arguments |
| `metapruning:mobilenet_v2` | the paper's network and search space (`PRESETS`) |
| `path/to/model.keras` | a saved model with its weights, loaded in Keras' safe mode |
| `keras.applications:MobileNetV2?alpha=0.5` | a network of Keras; with `weights=imagenet` its weights |
| `package.module:function?depth=3` | what a function or class of your own returns, with its weights |

`tfmeta prune` goes on from the weights that a model comes with, and so does the PruningNet with ``--warm_start``. All
else is trained anew.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import numpy as np

from tfmeta.data.options import INPUT_RANGES
from tfmeta.data.splits import SCALES
from tfmeta.errors import UserError
from tfmeta.graph.precision import in_single_precision
from tfmeta.lazy import keras
from tfmeta.networks import NETWORKS, PRESETS
from tfmeta.networks.preset import Preset
from tfmeta.registry import resolve

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits

_PRESET = "metapruning:"

_APPLICATIONS = "keras.applications"
# What comes before a colon where a text is no path.
_SCHEME = re.compile(r"[\w.]+:")

# What Keras and the readers below it raise for a file that is damaged, or made of unknown layers.
UNREADABLE = (OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, zipfile.BadZipFile, zlib.error)

# What Keras says of a class that it does not know, and after it the options of the layer where that tells them.
_UNKNOWN = re.compile(
    r"(?:Could not locate (?:class|function)|Unknown layer:) '(?:\w+>)?(\w+)'"
    r"(?:.*?'class_name': '\1', 'config': {'name': '([^']+)')?",
    re.DOTALL,
)


@dataclass(frozen=True)
class Built:
    """A model and where it comes from.

    Attributes:
        model: the Keras model.
        preset: the paper's choices for it, or None.
        has_weights: whether it may come with trained weights; networks that are made here do not.
        pixels: the input range that its weights were trained on, "other" where that is none of `INPUT_RANGES`, and
            None where it is not known.
    """

    model: Any
    preset: Preset | None = None
    has_weights: bool = True
    pixels: str | None = None

    def check_trained(self, spec: str, input_range: str) -> None:
        """Raises UserError where the weights that ``spec`` comes with cannot be gone on from.

        Args:
            spec: what was typed.
            input_range: the range of the pixels that the model will be given.
        """
        if not self.has_weights:
            raise UserError(
                f"Expected a model that brings trained weights. Received: --model={spec}, which is made without. Give "
                "a .keras file, a function of your own, or a network of Keras with weights "
                "(keras.applications:MobileNetV2?weights=imagenet)."
            )
        self.check_pixels(spec, input_range)

    def check_pixels(self, spec: str, input_range: str) -> None:
        """Raises UserError where the weights of ``spec`` are known to have been trained on other pixels."""
        if self.pixels == "other":
            raise UserError(
                f"The weights of --model={spec} were trained on pixels that its preprocess_input prepares, in a way "
                f"that no --input_range ({', '.join(INPUT_RANGES)}) does. Give a function of your own "
                "(module:function) that begins the network with it, for pixels from 0 to 255: "
                "input_tensor=preprocess_input(keras.Input((224, 224, 3)))."
            )
        if self.pixels not in (None, input_range):
            raise UserError(
                f"The weights of --model={spec} were trained on pixels in the range {self.pixels}. Received: "
                f"--input_range={input_range}. Set --input_range={self.pixels}."
            )


def build(spec: str, input_shape: tuple[int, ...], classes: int, allow_custom_objects: Sequence[str] = ()) -> Built:
    """Returns the model that ``spec`` names.

    Args:
        spec: see the table of this module.
        input_shape: (height, width, channels) of the images, for networks that are built here.
        classes: number of classes, likewise.
        allow_custom_objects: modules whose classes and functions a saved model may be made of. They are imported.

    Raises:
        UserError: an unknown name or argument, or a file that is no Keras model.
    """
    if is_file(spec):
        return Built(in_single_precision(_load(spec, allow_custom_objects)))
    if spec.startswith(_PRESET):
        preset = resolve(PRESETS, spec.removeprefix(_PRESET), "metapruning network")
        return Built(preset.build(input_shape, classes), preset, has_weights=False)
    name, _, query = spec.partition("?")
    builder = _builder(name)
    try:
        arguments = {**_given(builder, input_shape, classes), **_arguments(builder, name, query)}
        model = builder(**arguments)
        if not isinstance(model, keras.Model):
            raise UserError(f"Expected {name!r} to return a Keras model. Received: {type(model).__name__}.")
        has_weights = name not in NETWORKS and arguments.get("weights", "own") is not None
        return Built(in_single_precision(model), has_weights=has_weights, pixels=_pixels(builder, arguments))
    except UserError:
        raise
    except (TypeError, ValueError) as error:  # what Keras says of sizes that do not go together
        raise UserError(
            f"Network {spec!r} cannot be built for images {tuple(input_shape)} ({_first_sentence(error)}). Take "
            "other arguments or larger images."
        ) from error
    except Exception as error:
        if "URL fetch failure" not in str(error):  # Keras raises it as a bare Exception
            raise
        raise UserError(
            f"The weights of {spec!r} cannot be downloaded ({_first_sentence(error)}). Expected a network, or a file "
            "of weights that is here: weights=PATH."
        ) from error


def custom_objects(spec: str, allowed: Sequence[str] = ()) -> dict[str, Any]:
    """Returns by name what saved forms of a model may be made of besides Keras: what the modules define publicly.

    Args:
        spec: the model as typed; when a function makes it, its module is one more.
        allowed: names of modules. They are imported.

    Raises:
        UserError: a module cannot be imported.
    """
    owner = spec.partition("?")[0].rpartition(":")[0]
    built_in = is_file(spec) or owner in ("", _APPLICATIONS, _PRESET.rstrip(":"))
    found: dict[str, Any] = {}
    for module in (*allowed, *(() if built_in else (owner,))):
        for key, value in vars(_module(module)).items():
            # Not also what the module itself imports: a file must not reach that.
            own = f"{getattr(value, '__module__', '')}.".startswith(f"{module}.")
            if own and callable(value) and not key.startswith("_"):
                found[key] = value
    return found


def is_file(spec: str) -> bool:
    """Returns whether ``spec`` is the path of a saved model."""
    return spec.endswith((".keras", ".h5")) and not _SCHEME.match(spec)


def build_network(spec: str, splits: Splits, allow_custom_objects: Sequence[str] = ()) -> Any:
    """Returns the Keras model that ``spec`` names, for the images and classes of ``splits``.

    Raises:
        UserError: as for `build`.
    """
    return build(spec, splits.image_shape, len(splits.class_names), allow_custom_objects).model


def _builder(name: str) -> Any:
    """The function, or what else can be called, that ``name`` stands for."""
    module, separator, attribute = name.rpartition(":")
    if not separator:
        return resolve(NETWORKS, name, "network")
    if module == _APPLICATIONS:
        known = {key: value for key, value in vars(keras.applications).items() if inspect.isfunction(value)}
        if attribute not in known:
            raise UserError(f"Unknown network {attribute!r} of Keras. Expected one of: {', '.join(sorted(known))}.")
        return known[attribute]
    found = getattr(_module(module), attribute, None)
    if not callable(found):
        raise UserError(f"Module {module!r} has no function {attribute!r}, which --model={name!r} names.")
    return found


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"Module {name!r} cannot be imported ({error}). Expected the name of a module that Python finds: start in "
            "its folder with python -m tfmeta, or set PYTHONPATH."
        ) from error


def _given(builder: Any, input_shape: tuple[int, ...], classes: int) -> dict[str, Any]:
    """What the data set says, as far as the builder asks for it. Keras' networks begin without weights."""
    wanted = {"input_shape": tuple(input_shape), "classes": classes}
    if _is_of_keras(builder):
        wanted["weights"] = None
    known = inspect.signature(builder).parameters
    return {key: value for key, value in wanted.items() if key in known}


def _is_of_keras(builder: Any) -> bool:
    return (getattr(builder, "__module__", None) or "").startswith("keras.")


def _pixels(builder: Any, arguments: Mapping[str, Any]) -> str | None:
    """The input range that weights of Keras were trained on, from its own function that prepares images."""
    if not _is_of_keras(builder) or arguments.get("weights") != "imagenet" or "include_preprocessing" in arguments:
        return None
    image = np.array([[[[0, 100, 255]]]], np.float32)
    prepared = sys.modules[builder.__module__].preprocess_input(image.copy())
    same = (name for name, (scale, offset) in SCALES.items() if np.allclose(prepared, image * scale + offset))
    return next(same, "other")


def _load(path: str, allow_custom_objects: Sequence[str]) -> Any:
    if not Path(path).is_file():
        raise UserError(f"There is no model file at {path!r}. Expected a path to a saved .keras model.")
    own = custom_objects(path, allow_custom_objects)
    try:
        return keras.models.load_model(path, custom_objects=own, compile=False, safe_mode=True)
    except UNREADABLE as error:
        given = f" (received: {', '.join(allow_custom_objects)})" if allow_custom_objects else ""
        raise UserError(
            f"{path!r} cannot be loaded as a Keras model ({why_unreadable(path, error)}). Expected a file saved by "
            "Keras 3 with model.save('name.keras'); name the module that defines its own layers with "
            f"--allow_custom_objects=MODULE{given}."
        ) from error


def why_unreadable(path: str | Path, error: Exception) -> str:
    """Returns in a few words why Keras could not load a file; its own texts go over many lines."""
    if str(path).endswith(".keras") and not zipfile.is_zipfile(path):
        return "it is damaged, or of another format"  # where Keras says that it was not found
    unknown = _UNKNOWN.search(str(error))
    if unknown is not None:
        kind, layer = unknown.groups()
        return f"{f'its layer {layer!r}' if layer else 'it'} needs {kind!r}, which is no part of Keras"
    return _first_sentence(error)


def _first_sentence(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".:")
    return text if len(text) <= 200 else f"{text[:197]}..."


def _arguments(builder: Any, name: str, query: str) -> dict[str, Any]:
    ours = name in NETWORKS  # these take shape and classes from the data set only
    named = inspect.signature(builder).parameters
    known = [key for key in named if not (ours and key in ("input_shape", "classes"))]
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in named.values())
    arguments = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in known and not takes_any:
            raise UserError(f"Network {name!r} has no argument {key!r}. Expected one of: {', '.join(known)}.")
        try:
            arguments[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError) as error:
            if ours:
                raise UserError(
                    f"Expected a number, True or False for {key!r} of {name!r}, received {text!r}."
                ) from error
            arguments[key] = text  # weights=imagenet
    return arguments
