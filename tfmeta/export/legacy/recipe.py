"""Schemes that train: a network becomes sparse, clustered and quantized, one step after the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta.export import calibrated, converter
from tfmeta.export.interface import Scheme, Tolerance
from tfmeta.export.legacy import kernels, qat
from tfmeta.export.legacy.convert import convert
from tfmeta.export.schemes import int8
from tfmeta.export.tuning import Trained, TuneOptions
from tfmeta.files import replacing
from tfmeta.lazy import keras

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits

SPARSE, TWO_OF_FOUR, CLUSTERED, QAT = "sparse", "sparse_2_4", "clustered", "qat"


def scheme(name: str, description: str, steps: tuple[str, ...]) -> Scheme:
    """Returns the scheme that trains a network in ``steps`` and writes it in int8 with float ends.

    Args:
        name: the name in ``tfmeta.export.SCHEMES``.
        description: one line for people.
        steps: at most one of `SPARSE` and `TWO_OF_FOUR`, then `CLUSTERED`, then `QAT`; each may be left out.
    """

    # Those that quantize after their training have one that does so in it, but for 2:4, which TFMOT cannot keep there.
    learned = () if QAT in steps or TWO_OF_FOUR in steps else ("_".join((*steps, QAT)),)

    def train(model: Any, splits: Splits, options: TuneOptions, folder: Path | None = None) -> Trained:
        return _train(steps, model, splits, options, folder)

    return Scheme(
        name=name,
        description=description,
        needs_calibration=QAT not in steps,  # that finds the ranges in training
        tolerance=Tolerance(min_class_agreement=0.9),
        convert=_convert_quantized if QAT in steps else _convert,
        train=train,
        finer=(*learned, "int16x8", "fp16"),
    )


def _convert(model: Any, calibration: np.ndarray | None) -> bytes:
    return int8.SCHEME.convert(converter.with_batch_one(model), calibration)


def _convert_quantized(model: Any, calibration: np.ndarray | None) -> bytes:
    del calibration
    data = convert(model)
    calibrated.refuse_float_islands(data, model, "int8")
    return data


def _train(steps: tuple[str, ...], network: Any, splits: Splits, options: TuneOptions, folder: Path | None) -> Trained:
    """Trains ``network`` in steps.

    What each ended with is kept in ``folder``, which schemes with the same first steps share.
    """
    done: list[str] = []
    model = network
    for step in steps:
        done.append(step)
        place = None if folder is None else folder / "-".join(done)
        if step == QAT:
            details = _details(model, options, done)
            weights = place and place.with_name(f"{place.name}.weights.h5")
            keep = {"keep_zeros": len(done) > 1 and done[0] != CLUSTERED, "keep_clusters": CLUSTERED in done}
            return Trained(qat.quantized(model, splits, options, **keep, weights=weights), details, network)
        model = _kernel_step(done, model, splits, options, place and place.with_name(f"{place.name}.keras"))
    return Trained(model, _details(model, options, done), network)


def _kernel_step(done: list[str], model: Any, splits: Splits, options: TuneOptions, place: Path | None) -> Any:
    if place is not None and place.exists():
        return keras.models.load_model(place, compile=False)
    if done[-1] == CLUSTERED:
        model = kernels.clustered(model, splits, options, keep_zeros=len(done) > 1)
    else:
        model = kernels.sparse(model, splits, options, two_of_four=done[-1] == TWO_OF_FOUR)
    if place is not None:
        with replacing(place) as temporary:
            model.save(temporary)
    return model


def _details(model: Any, options: TuneOptions, steps: list[str]) -> Mapping[str, Any]:
    """What the manifest tells of the training."""
    found = {"steps": list(steps), "options": asdict(options)}
    if steps[0] != QAT:
        found["layers"] = len(kernels.eligible(model))
    if steps[0] in (SPARSE, TWO_OF_FOUR):
        found["sparsity"] = round(kernels.sparsity(model), 4)
    if CLUSTERED in steps:
        found["clusters"] = kernels.distinct(model)
    return found
