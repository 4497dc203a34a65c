"""Which layers suffer from int8: each is quantized alone, and what the network then loses is its sensitivity."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tfmeta import tasks
from tfmeta.export import verify
from tfmeta.export.mixed.bits import INT8, Bits, BitWidths
from tfmeta.export.mixed.quantizer import Layer, MixedQuantizer
from tfmeta.progress import bar

_LEAST = 1e-7  # probabilities below it count as this


@dataclass(frozen=True)
class Sensitivity:
    """What int8 in one layer alone costs.

    Attributes:
        layer: the layer.
        loss: by how much the mean cross-entropy rises; below 0 where int8 happens to help.
        accuracy: of the network with this layer in int8, 0 to 1, by the metric of its task.
    """

    layer: Layer
    loss: float
    accuracy: float


def sensitivities(
    quantizer: MixedQuantizer, images: np.ndarray, labels: np.ndarray, bits: Bits = INT8
) -> list[Sensitivity]:
    """Returns the sensitivity of every layer, the most sensitive first; the arguments are those of `one_by_one`."""
    return sorted(one_by_one(quantizer, images, labels, bits), key=lambda one: one.loss, reverse=True)


def one_by_one(
    quantizer: MixedQuantizer, images: np.ndarray, labels: np.ndarray, bits: Bits = INT8, *, begin: int = 0
) -> Iterator[Sensitivity]:
    """Yields the sensitivity of every layer as soon as it is known, in the order of the layers.

    Args:
        quantizer: of the network.
        images: `[N, H, W, C]` float32 that the network was not trained on; not those of the final test.
        labels: `[N]` their classes, or `[N, H, W]` those of their pixels.
        bits: what each layer is tried in.
        begin: how many of the first layers to leave out.
    """
    layers = quantizer.layers[begin:]
    if not layers:
        return
    float_loss, _ = judged(quantizer.float_data, images, labels)
    for layer in bar(layers, "Quantizing layers alone", unit="layer"):
        loss, accuracy = judged(quantizer.quantize(BitWidths.only(layer.name, bits)), images, labels)
        yield Sensitivity(layer, loss - float_loss, accuracy)


def judged(data: bytes, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Returns mean cross-entropy and accuracy of a .tflite classifier or segmenter."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        entropy = _CrossEntropy()
        pairs = verify.with_labels(verify.streamed(path, images), labels)
        accuracy = tasks.score(entropy.counting(pairs))
    return entropy.mean, accuracy


class _CrossEntropy:
    """Running sums of it. Whether the answers are probabilities or logits, only all of them together tell."""

    def __init__(self) -> None:
        self._probabilities = True
        self._labels, self._of_probabilities, self._of_logits = 0, 0.0, 0.0

    @property
    def mean(self) -> float:
        """Of all images, or of all their pixels."""
        return (self._of_probabilities if self._probabilities else self._of_logits) / self._labels

    def counting(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields ``pairs`` of labels and answers, and counts them."""
        for labels, answers in pairs:
            # Perhaps in steps of 1/256.
            self._probabilities &= bool(np.all(answers >= 0) and np.allclose(answers.sum(-1), 1, atol=0.05))
            for label, answer in zip(labels, answers, strict=True):  # in float64 one at a time
                self._add(np.asarray(label), answer.astype(np.float64))
            yield labels, answers

    def _add(self, label: np.ndarray, answer: np.ndarray) -> None:
        chosen = np.take_along_axis(answer, label[..., np.newaxis], -1)[..., 0]
        self._labels += label.size
        if self._probabilities:
            self._of_probabilities += float(np.sum(-np.log(np.maximum(chosen, _LEAST))))
        highest = answer.max(-1)
        self._of_logits += float(np.sum(highest + np.log(np.exp(answer - highest[..., np.newaxis]).sum(-1)) - chosen))
