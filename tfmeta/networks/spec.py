"""From the text that a user types (``--model``) to a Keras model.

| text | model |
|---|---|
| `mobilenet_v1` | a family of `NETWORKS`, built for the data set |
| `mobilenet_v1?width=0.25&blocks=8` | the same with arguments |
| `metapruning:mobilenet_v2` | the paper's network and search space (`PRESETS`) |
| `path/to/model.keras` | a saved model, loaded in Keras' safe mode |

The weights of a saved model are not used: the PruningNet and every network of the result table are trained anew.
"""

from __future__ import annotations

import ast
import inspect
import re
import zipfile
import zlib
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


@dataclass(frozen=True)
class Built:
    """A model and where it comes from.

    Attributes:
        model: the Keras model.
        preset: the paper's choices for it, or None.
    """

    model: Any
    preset: Preset | None


def build(spec: str, input_shape: tuple[int, ...], classes: int) -> Built:
    """Returns the model that ``spec`` names.

    Args:
        spec: see the table of this module.
        input_shape: (height, width, channels) of the images, for networks that are built here.
        classes: number of classes, likewise.

    Raises:
        UserError: an unknown name or argument, or a file that is no Keras model.
    """
    if spec.endswith((".keras", ".h5")):
        return Built(_load(spec), None)
    if spec.startswith(_PRESET):
        preset = resolve(PRESETS, spec.removeprefix(_PRESET), "metapruning network")
        return Built(preset.build(input_shape, classes), preset)
    name, _, query = spec.partition("?")
    builder = resolve(NETWORKS, name, "network")
    arguments = _arguments(builder, name, query)
    try:
        return Built(builder(input_shape, classes, **arguments), None)
    except UserError:
        raise
    except (TypeError, ValueError) as error:  # what Keras says of sizes that do not go together
        raise UserError(
            f"Network {spec!r} cannot be built for images {tuple(input_shape)} ({_first_sentence(error)}). Take "
            "other arguments or larger images."
        ) from error


def build_network(spec: str, splits: Splits) -> Any:
    """Returns the Keras model that ``spec`` names, for the images and classes of ``splits``.

    Raises:
        UserError: as for `build`.
    """
    return build(spec, splits.image_shape, len(splits.class_names)).model


def _load(path: str) -> Any:
    if not Path(path).is_file():
        raise UserError(f"There is no model file at {path!r}. Expected a path to a saved .keras model.")
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except UNREADABLE as error:
        raise UserError(
            f"{path!r} cannot be loaded as a Keras model ({why_unreadable(path, error)}). Expected a file saved by "
            "Keras 3 with model.save('name.keras'), without custom Python code in it."
        ) from error


def why_unreadable(path: str | Path, error: Exception) -> str:
    """Returns in a few words why Keras could not load a file; its own texts go over many lines."""
    if str(path).endswith(".keras") and not zipfile.is_zipfile(path):
        return "it is damaged, or of another format"  # where Keras says that it was not found
    unknown = re.search(r"Could not locate (?:class|function) '(\w+)'", str(error))
    if unknown is not None:
        return f"it needs {unknown[1]!r}, which is no part of Keras"
    return _first_sentence(error)


def _first_sentence(error: Exception) -> str:
    text = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0].rstrip(".:")
    return text if len(text) <= 200 else f"{text[:197]}..."


def _arguments(builder: Any, name: str, query: str) -> dict[str, Any]:
    known = [p for p in inspect.signature(builder).parameters if p not in ("input_shape", "classes")]
    arguments = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        if key not in known:
            raise UserError(f"Network {name!r} has no argument {key!r}. Expected one of: {', '.join(known)}.")
        try:
            arguments[key] = ast.literal_eval(text)
        except (ValueError, SyntaxError) as error:
            raise UserError(f"Expected a number, True or False for {key!r} of {name!r}, received {text!r}.") from error
    return arguments
