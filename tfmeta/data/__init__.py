"""Data sets as three splits: train, search (carved from train, never trained on) and test.

To add a data set: one file with ``load(options) -> Splits`` and one line in ``DATASETS``.
"""

from __future__ import annotations

from tfmeta.data.augment import Augmentation
from tfmeta.data.options import DataOptions
from tfmeta.data.splits import Split, Splits
from tfmeta.errors import DataError
from tfmeta.registry import resolve

__all__ = ["DATASETS", "Augmentation", "DataOptions", "Split", "Splits", "load"]

DATASETS = {
    "digits": "tfmeta.data.digits:load",
    "fashion_mnist": "tfmeta.data.fashion_mnist:load",
    "fashion_canvas": "tfmeta.data.fashion_canvas:load",
    "mnist": "tfmeta.data.mnist:load",
    "cifar10": "tfmeta.data.cifar10:load",
    "cifar100": "tfmeta.data.cifar100:load",
    "image_folder": "tfmeta.data.image_folder:load",
}
# Those that are called with what stands behind the colon: what it is, and what stands for nothing (None: an error).
_WITH_ARGUMENT: dict[str, tuple[str, str | None]] = {"image_folder": ("DIR", None), "fashion_canvas": ("ITEMS", "4")}


def load(name: str, options: DataOptions | None = None) -> Splits:
    """Returns the splits of a data set.

    Args:
        name: a key of ``DATASETS`` (``image_folder`` with its folder: ``image_folder:DIR``;
            ``fashion_canvas`` also with the items on a canvas: ``fashion_canvas:6``), or
            ``module:function``, a function of the user's own, see :mod:`tfmeta.data.custom`.
        options: how it is found, split and shaped; ``None``: the defaults.

    Raises:
        DataError: the data cannot be found, read or split; the text says what to do.
        UserError: no such data set.
    """
    options = options or DataOptions()
    kind, colon, argument = name.partition(":")
    if kind in _WITH_ARGUMENT:
        what, default = _WITH_ARGUMENT[kind]
        argument = argument or default or ""
        if not argument:
            raise DataError(f"Expected {kind}:{what}. Received: {name!r}.")
        return resolve(DATASETS, kind, "data set")(options, argument)
    if kind in DATASETS and colon:
        raise DataError(f"The data set {kind!r} takes nothing behind a colon. Received: {name!r}.")
    if colon:
        return resolve({name: "tfmeta.data.custom:load"}, name, "data set")(options, name)
    if kind not in DATASETS:
        raise _unknown(name)
    return resolve(DATASETS, kind, "data set")(options)


def _unknown(name: str) -> DataError:
    known = ", ".join(f"{key}:{_WITH_ARGUMENT[key][0]}" if key in _WITH_ARGUMENT else key for key in DATASETS)
    return DataError(f"Unknown data set {name!r}. Expected one of: {known}, or module:function.")
