"""The user's own data: ``module:function``.

The function takes nothing, or the ``DataOptions``, and returns one of

- a :class:`tfmeta.data.Splits`;
- a dict with ``"train"``, optionally ``"test"`` and ``"search"`` (else carved from ``"train"``) and
  optionally ``"class_names"``;
- a tuple (train, test).

Each part is (images `[N, H, W, C]`, integer labels `[N]`) as arrays, or an unbatched, ending
``tf.data.Dataset`` of (image, label). Images of uint8 are 0..255 and brought to ``input_range``;
floating-point images are handed on as they are. For segmentation, labels are maps `[N, H, W]` with the
class of each pixel, from 0 to classes - 1 without gaps for "ignore"; such data keeps its size.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tfmeta.data.assemble import assemble
from tfmeta.data.fitting import fit_array, require_size
from tfmeta.data.options import DataOptions
from tfmeta.data.sources import ArraySource, Source, compact
from tfmeta.data.splits import Splits
from tfmeta.data.streams import from_dataset
from tfmeta.errors import DataError

_PARTS = ("train", "search", "test")
_EXPECTED = "a Splits, a dict with 'train' (and 'test', 'search', 'class_names'), or a tuple (train, test)"


def load(options: DataOptions, place: str) -> Splits:
    """Returns the splits that the function at ``module:function`` describes.

    The module is looked for as Python does, and in the current folder.

    Raises:
        DataError: no such function, or what it returns is none of the above.
    """
    with _current_folder_importable():
        function = _function(place)
        result = function(options) if inspect.signature(function).parameters else function()
    if isinstance(result, Splits):
        return result
    if isinstance(result, tuple) and len(result) == 2:
        result = {"train": result[0], "test": result[1]}
    if not isinstance(result, Mapping) or "train" not in result:
        raise DataError(f"Expected from {place}: {_EXPECTED}. Received: {type(result).__name__}.")
    unknown = set(result) - {*_PARTS, "class_names"}
    if unknown:
        raise DataError(f"Expected from {place}: {_EXPECTED}. Received the keys {sorted(result)}.")
    sources = {part: _source(result[part], part, options) for part in _PARTS if result.get(part) is not None}
    return assemble(
        place,
        sources["train"],
        sources.get("test"),
        options,
        class_names=_class_names(result.get("class_names"), sources),
        search=sources.get("search"),
    )


@contextlib.contextmanager
def _current_folder_importable() -> Iterator[None]:
    """A console script does not look in the current folder, where a user's own module lies."""
    folder = os.getcwd()
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):
            sys.path.remove(folder)


def _function(place: str) -> Callable[..., Any]:
    module_name, _, function_name = place.partition(":")
    try:
        module = importlib.import_module(module_name)
    except (ModuleNotFoundError, ValueError, TypeError) as error:  # the latter: "", ".name"
        raise DataError(
            f"Cannot import the module {module_name!r} of the data set {place!r} ({error}). Run in "
            "the folder that holds it, or install it."
        ) from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise DataError(f"The module {module_name!r} has no function {function_name!r}.")
    return function


def _source(data: Any, part: str, options: DataOptions) -> Source:
    if hasattr(data, "element_spec"):
        return from_dataset(data, part, options)
    if not isinstance(data, (tuple, list)) or len(data) != 2:
        raise DataError(f"Expected (images, labels) or a tf.data.Dataset as {part!r}. Received: {type(data).__name__}.")
    images, labels = np.asarray(data[0]), np.asarray(data[1])
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.dtype.kind not in "uf" or len(images) == 0:
        raise DataError(
            f"Expected {part} images [N, H, W, C] of uint8 or floating point. "
            f"Received: {images.dtype} of shape {images.shape}."
        )
    if images.dtype.kind == "u" and images.dtype != np.uint8:
        raise DataError(f"Expected {part} images of uint8 (0..255). Received: {images.dtype}.")
    if labels.dtype.kind not in "iu" or labels.shape not in ((len(images),), (len(images), 1), images.shape[:3]):
        raise DataError(
            f"Expected {len(images)} integer {part} labels, one an image or one a pixel (of one-hot vectors take "
            f"np.argmax(labels, -1)). Received: {labels.dtype} of shape {labels.shape}."
        )
    if images.dtype.kind == "f":
        images = images.astype(np.float32)
        if not np.isfinite(images).all():
            raise DataError(f"The {part} images hold values that are not finite numbers.")
    if labels.ndim == 3:
        require_size(images.shape[1:3], options, part)
        return ArraySource(images, compact(labels))
    fit = "resize" if options.fit == "auto" else options.fit
    images = fit_array(images, options.image_size, fit)
    return ArraySource(images, labels.reshape(-1).astype(np.int32))


def _class_names(given: Any, sources: Mapping[str, Source]) -> tuple[str, ...]:
    low = min(int(source.labels.min()) for source in sources.values())
    high = max(int(source.labels.max()) for source in sources.values())
    names = tuple(str(name) for name in given) if given is not None else ()
    count = len(names) or high + 1
    if low < 0 or high >= count:
        raise DataError(f"Expected labels from 0 to {count - 1}. Received: {low} to {high}.")
    return names or tuple(str(label) for label in range(count))
