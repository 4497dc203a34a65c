"""What a quantization scheme is, and how far its file may be from its Keras model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tfmeta.errors import ExportError

if TYPE_CHECKING:
    import keras

    from tfmeta.data.splits import Splits
    from tfmeta.export.tuning import Trained, TuneOptions

# (model with batch size 1, calibration images [N, H, W, C] or None) -> the bytes of a .tflite file
Convert = Callable[["keras.Model", "np.ndarray | None"], bytes]

# (trained Keras model, data, how to train, folder for what is done already or None) -> what the file is made of
Train = Callable[["keras.Model", "Splits", "TuneOptions", "Path | None"], "Trained"]


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from the Keras model it was made from.

    Attributes:
        min_class_agreement: the least part of answers (a sample, or a pixel of a map of classes), 0 to 1, that must
            be the same class. Only where there are at least two classes; other outputs are judged by the error alone.
        max_relative_error: the largest absolute difference of any output, divided by the largest
            absolute output of the Keras model. None where the agreement of classes alone
            decides for those.
    """

    min_class_agreement: float
    max_relative_error: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_class_agreement <= 1.0:
            raise ExportError(
                f"Expected an agreement of classes between 0 and 1. Received: {self.min_class_agreement}. "
                "Give a part, not a percentage."
            )
        if self.max_relative_error is not None and not self.max_relative_error > 0.0:
            raise ExportError(
                f"Expected a relative error above 0 (or None for no such bound). Received: {self.max_relative_error}."
            )


@dataclass(frozen=True)
class Scheme:
    """One way to write a model as a .tflite file.

    Attributes:
        name: the name in ``tfmeta.export.SCHEMES``.
        description: one line for people: what is quantized and what goes in and comes out.
        needs_calibration: whether ``convert`` must be given calibration images.
        tolerance: how far the file may be from the model, unless the caller says otherwise.
        convert: makes the bytes of the file from a Keras model whose batch size is 1 and whose
            input and output are named, and the calibration images `[N, H, W, C]`, which were
            checked before. Raises `ExportError`. Where ``train`` is given, the model is that of the
            `Trained` network, as it is.
        train: trains the model before it is converted, for schemes that need it; None for those
            that do not.
        finer: schemes to try where this one loses too much, the smallest file first.
        remedy: what else to try then, as the end of "Try ".
    """

    name: str
    description: str
    needs_calibration: bool
    tolerance: Tolerance
    convert: Convert
    train: Train | None = None
    finer: tuple[str, ...] = ()
    remedy: str = ""
