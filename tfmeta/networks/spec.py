"""From the text that a user types (``--model``) to a Keras model.

| text | model |
|---|---|
| `mobilenet_v1` | a family of `NETWORKS`, built for the data set |
| `mobilenet_v1?width=0.25&blocks=8` | the same with arguments |
| `metapruning:mobilenet_v2` | the paper's network and search space (`PRESETS`) |
| `path/to/model.keras` | a saved model with its weights, loaded in Keras' safe mode |
| `keras.applications:MobileNetV2?alpha=0.5` | a network of Keras; with `weights=imagenet` its weights |
| `package.module:function?depth=3` | what a function of your own returns, with its weights |

`tfmeta prune` goes on from the weights that a model comes with, and so does the PruningNet with ``--warm_start``. All
else is trained anew.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from tfmeta.errors import UserError
from tfmeta.lazy import keras
from tfmeta.networks import NETWORKS, PRESETS
from tfmeta.networks.preset import Preset
from tfmeta.registry import resolve

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits

_PRESET = "metapruning:"

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
    """

    model: Any
    preset: Preset | None = None
    has_weights: bool = True

    def check_trained(self, spec: str) -> None:
        """Raises UserError where the model of ``spec`` is made without trained weights, which are needed."""
        if not self.has_weights:
            raise UserError(
                f"Expected a model that brings trained weights. Received: --model={spec}, which is made without. Give "
                "a .keras file, a function of your own, or a network of Keras with weights "
                "(keras.applications:MobileNetV2?weights=imagenet)."
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
        return Built(_load(spec, allow_custom_objects))
    if spec.startswith(_PRESET):
        preset = resolve(PRESETS, spec.removeprefix(_PRESET), "metapruning network")
        return Built(preset.build(input_shape, classes), preset, has_weights=False)
    name, _, query = spec.partition("?")
    builder = _builder(name)
    arguments = {**_given(builder, input_shape, classes), **_arguments(builder, name, query)}
    try:
        model = builder(**arguments)
        if not isinstance(model, keras.Model):
            raise UserError(f"Expected {name!r} to return a Keras model. Received: {type(model).__name__}.")
        return Built(model, has_weights=name not in NETWORKS and arguments.get("weights", "own") is not None)
    except UserError:
        raise
    except (TypeError, ValueError) as error:  # what Keras says of sizes that do not go together
        raise UserError(
            f"Network {spec!r} cannot be built for images {tuple(input_shape)} ({_first_sentence(error)}). Take "
            "other arguments or larger images."
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
    built_in = is_file(spec) or owner in ("", "keras.applications", _PRESET.rstrip(":"))
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
    return spec.endswith((".keras", ".h5"))


def build_network(spec: str, splits: Splits, allow_custom_objects: Sequence[str] = ()) -> Any:
    """Returns the Keras model that ``spec`` names, for the images and classes of ``splits``.

    Raises:
        UserError: as for `build`.
    """
    return build(spec, splits.image_shape, len(splits.class_names), allow_custom_objects).model


def _builder(name: str) -> Any:
    """The function that ``name`` stands for."""
    module, separator, attribute = name.rpartition(":")
    if not separator:
        return resolve(NETWORKS, name, "network")
    if module == "keras.applications":
        known = {key: value for key, value in vars(keras.applications).items() if inspect.isfunction(value)}
        if attribute not in known:
            raise UserError(f"Unknown network {attribute!r} of Keras. Expected one of: {', '.join(sorted(known))}.")
        return known[attribute]
    found = getattr(_module(module), attribute, None)
    if not inspect.isfunction(found):
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
    if getattr(builder, "__module__", "").startswith("keras."):
        wanted["weights"] = None
    known = inspect.signature(builder).parameters
    return {key: value for key, value in wanted.items() if key in known}


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
    known = [p for p in inspect.signature(builder).parameters if not (ours and p in ("input_shape", "classes"))]
    arguments = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise UserError(f"Network {name!r} has no argument {key!r}. Expected one of: {', '.join(known)}.")
        try:
            arguments[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError) as error:
            if not ours and text.isidentifier():  # weights=imagenet
                arguments[key] = text
                continue
            raise UserError(f"Expected a number, True or False for {key!r} of {name!r}, received {text!r}.") from error
    return arguments
