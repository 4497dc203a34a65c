"""Runs a .tflite file with LiteRT: is it what its Keras model is, and how accurate is it?"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from tfmeta import tasks, training
from tfmeta.errors import ExportError
from tfmeta.export import litert
from tfmeta.export.interface import Scheme, Tolerance
from tfmeta.progress import bar

if TYPE_CHECKING:
    import keras
    import tensorflow as tf

# Where there are no classes (one output, or a map that is none of classes), a quantized file is judged by its error.
_RELATIVE_ERROR_WITHOUT_CLASSES = 0.2


@dataclass(frozen=True)
class Agreement:
    """How near the outputs of a file are to those of its Keras model.

    Attributes:
        num_samples: on how many samples.
        class_agreement: part of the answers that are the same class, an answer a sample or, for maps of classes, a
            pixel; None where the output is neither a row nor a map of classes.
        max_abs_error: the largest difference of one output.
        mean_abs_error: the mean difference of one output.
        max_relative_error: ``max_abs_error`` divided by the largest absolute output of the Keras
            model.
    """

    num_samples: int
    class_agreement: float | None
    max_abs_error: float
    mean_abs_error: float
    max_relative_error: float


class LabelledSplit(Protocol):
    """The part of a data split that is needed to judge a file."""

    @property
    def size(self) -> int:
        """Returns the number of images."""

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Returns (H, W, C) of every image."""

    @property
    def label_shape(self) -> tuple[int, ...]:
        """Returns () where a label is a class, (H, W) where it is a map of classes."""

    def batches(self, batch_size: int) -> tf.data.Dataset:
        """Returns (images `[B, H, W, C]`, labels `[B]`, or `[B, H, W]` for each pixel) in a fixed order."""


def outputs(path: str | os.PathLike[str], images: np.ndarray, *, workers: int | None = None) -> np.ndarray:
    """Returns what the file at ``path`` answers, image by image, with batch size 1 as it ships.

    Args:
        path: a .tflite file with one input `[1, H, W, C]` and one output `[1, ...]`. Where they are
            integers, images are quantized and answers dequantized with the scales in the file.
        images: `[N, H, W, C]` float32.
        workers: interpreters that share the images, one thread each; as many as there are cores, at most 16, by
            default. The answers do not depend on it.

    Returns:
        `[N, ...]` float32: for a classifier `[N, classes]`, for a segmenter `[N, H, W, classes]`.

    Raises:
        ExportError: LiteRT cannot load the file, or the images do not fit it.
    """
    return _pool(path, images, workers).run(images)


def streamed(path: str | os.PathLike[str], images: np.ndarray, *, workers: int | None = None) -> Iterator[np.ndarray]:
    """Yields what `outputs` returns for a few images at a time, the same as `tfmeta.training.answers` takes.

    Of maps, those of all images together may not fit into memory.

    Args:
        path: as for `outputs`.
        images: as for `outputs`.
        workers: as for `outputs`.

    Raises:
        ExportError: as for `outputs`.
    """
    pool = _pool(path, images, workers)
    for part in training.batches_of(images, tasks.at_a_time(images.shape[1:3])):
        yield pool.run(part)


def with_labels(answers: Iterable[np.ndarray], labels: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yields (labels, answers) for each batch of ``answers``, as `tasks.score` takes them."""
    start = 0
    for batch in answers:
        yield labels[start : start + len(batch)], batch
        start += len(batch)


def _pool(path: str | os.PathLike[str], images: np.ndarray, workers: int | None) -> litert.Pool:
    return litert.Pool(path, workers or min(litert.num_workers(), max(1, len(images))))


def accuracy(
    path: str | os.PathLike[str],
    images: np.ndarray,
    labels: np.ndarray,
    *,
    workers: int | None = None,
) -> float:
    """Returns the accuracy, 0 to 1, of the file at ``path`` itself, by the metric of the task of its labels.

    Args:
        path: a .tflite classifier or segmenter.
        images: `[N, H, W, C]` float32, N above 0.
        labels: `[N]` class numbers, or `[N, H, W]` for each pixel.
        workers: as for `outputs`.

    Raises:
        ExportError: LiteRT cannot load the file, the images do not fit it, or there is not one
            label an image.
    """
    if len(images) != len(labels) or len(images) == 0:
        raise ExportError(f"Expected one label for each image. Received: {len(images)} images, {len(labels)} labels.")
    return tasks.score(with_labels(streamed(path, images, workers=workers), labels))


def split_accuracy(path: str | os.PathLike[str], split: LabelledSplit) -> float:
    """Returns the accuracy, 0 to 1, of the file at ``path`` on all of ``split``, as `accuracy`.

    Args:
        path: a .tflite classifier or segmenter.
        split: a `tfmeta.data.Split`; a few of its images are in memory at a time.

    Raises:
        ExportError: as for `accuracy`.
    """
    if split.size == 0:
        raise ExportError("Expected a split with images. Received: an empty one.")
    pool = litert.Pool(path, litert.num_workers())
    count = tasks.at_a_time(split.image_shape, split.label_shape)
    batches = split.batches(count).as_numpy_iterator()
    shown = bar(batches, f"Testing {Path(path).name}", total=-(-split.size // count), unit="batch")
    return tasks.score((labels, pool.run(images)) for images, labels in shown)


def compare(
    path: str | os.PathLike[str], model: keras.Model, samples: np.ndarray, label_shape: Sequence[int] = ()
) -> Agreement:
    """Returns how near the file at ``path`` is to ``model``.

    Args:
        path: the file.
        model: what it was made of.
        samples: `[N, H, W, C]` float32.
        label_shape: as for `agreement`.

    Raises:
        ExportError: LiteRT cannot run the file, or its output has another shape than the model's.
    """
    return agreement_of(zip(training.answers(model, samples), streamed(path, samples), strict=True), label_shape)


def agreement(expected: np.ndarray, received: np.ndarray, label_shape: Sequence[int] = ()) -> Agreement:
    """Returns how near ``received`` is to ``expected``, both `[N, classes]` (or `[N, ...]`).

    Args:
        expected: outputs of the model.
        received: those of the file.
        label_shape: () where a row of outputs is one of classes, (H, W) where a map `[N, H, W, classes]` is. Whether
            the numbers of a map are scores of classes, the map does not tell.

    Raises:
        ExportError: the shapes differ.
    """
    return agreement_of([(expected, received)], label_shape)


def agreement_of(pairs: Iterable[tuple[np.ndarray, np.ndarray]], label_shape: Sequence[int] = ()) -> Agreement:
    """Returns the `agreement` of all ``pairs`` together, of which one is in memory at a time.

    Args:
        pairs: (outputs of the model, those of the file), one pair at least, each of a batch of samples.
        label_shape: as for `agreement`.

    Raises:
        ExportError: the shapes differ, or there is no pair.
    """
    samples = numbers = same = answers = 0
    total, worst, largest, classes = 0.0, 0.0, 0.0, False
    for expected, received in pairs:
        if expected.shape != received.shape:
            raise ExportError(
                f"Expected outputs {list(expected.shape)} as of the Keras model. Received: "
                f"{list(received.shape)} of the .tflite file."
            )
        error = np.abs(expected - received)
        # np.maximum keeps what is not a number, which max() may lose.
        worst, largest = float(np.maximum(worst, error.max())), float(np.maximum(largest, np.abs(expected).max()))
        samples, numbers, total = samples + len(expected), numbers + error.size, total + float(error.sum(dtype=float))
        classes = expected.ndim == 2 + len(label_shape) and expected.shape[-1] > 1
        if classes:
            equal = np.argmax(expected, -1) == np.argmax(received, -1)
            same, answers = same + int(np.count_nonzero(equal)), answers + equal.size
    if not samples:
        raise ExportError("Expected samples to compare the file with the Keras model on. Received: none.")
    return Agreement(
        num_samples=samples,
        class_agreement=same / answers if classes else None,
        max_abs_error=worst,
        mean_abs_error=total / numbers,
        max_relative_error=worst / largest if largest > 0 else worst,
    )


def problems(agreement: Agreement, tolerance: Tolerance) -> list[str]:
    """Returns what of ``agreement`` is outside ``tolerance``, in words; nothing where all is within."""
    found = []
    bound = tolerance.max_relative_error
    if agreement.class_agreement is None:
        bound = bound or _RELATIVE_ERROR_WITHOUT_CLASSES
    elif agreement.class_agreement < tolerance.min_class_agreement:
        found.append(
            f"the same class in {agreement.class_agreement:.1%} of the answers (at least "
            f"{tolerance.min_class_agreement:.1%})"
        )
    # Written so that an error that is not a number fails too.
    if bound is not None and not agreement.max_relative_error <= bound:
        found.append(f"a relative error of {agreement.max_relative_error:.2g} (at most {bound:.2g})")
    return found


def require(
    agreement: Agreement, tolerance: Tolerance, scheme: Scheme, explain: Callable[[], str] | None = None
) -> None:
    """Raises unless ``agreement`` is within ``tolerance``.

    Args:
        agreement: what was found.
        tolerance: what is allowed.
        scheme: the file's, which tells what to try.
        explain: gives a sentence about where the error comes from; asked only when there is something to explain.

    Raises:
        ExportError: the text has the numbers and what to try.
    """
    found = problems(agreement, tolerance)
    if found:
        where = explain() if explain is not None else ""
        raise ExportError(
            f"The {scheme.name} file does not compute what its Keras model computes, and was not "
            f"written. On {agreement.num_samples} samples: {' and '.join(found)}; largest "
            f"error {agreement.max_abs_error:.3g}, mean {agreement.mean_abs_error:.3g}. "
            f"{where + ' ' if where else ''}Try {_remedies(scheme)}"
            "samples that are prepared as in training, a model that is trained longer (one that guesses has no clear "
            "classes), or allow more with min_class_agreement."
        )


def _remedies(scheme: Scheme) -> str:
    """What can be done about ``scheme``, as the beginning of a list."""
    found = (
        scheme.remedy,
        " or ".join(f'scheme="{name}"' for name in scheme.finer),
        "a longer training of the scheme (--tune_epochs)" if scheme.train is not None else "",
        "more calibration images from the training split" if scheme.needs_calibration else "",
    )
    return "".join(f"{one}, " for one in found if one)
