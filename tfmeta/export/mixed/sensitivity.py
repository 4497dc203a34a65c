"""Which layers suffer from int8: each is quantized alone, and what the network then loses is its sensitivity."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
        accuracy: of the network with this layer in int8, 0 to 1.
    """

    layer: Layer
    loss: float
    accuracy: float


def sensitivities(
    quantizer: MixedQuantizer, images: np.ndarray, labels: np.ndarray, bits: Bits = INT8
) -> list[Sensitivity]:
    """Returns the sensitivity of every layer, the most sensitive first.

    Args:
        quantizer: of the network.
        images: `[N, H, W, C]` float32 that the network was not trained on; not those of the final test.
        labels: `[N]` their classes.
        bits: what each layer is tried in.
    """
    float_loss, _ = judged(quantizer.float_data, images, labels)
    found = []
    for layer in bar(quantizer.layers, "Quantizing layers alone", unit="layer"):
        loss, accuracy = judged(quantizer.quantize(BitWidths.only(layer.name, bits)), images, labels)
        found.append(Sensitivity(layer, loss - float_loss, accuracy))
    return sorted(found, key=lambda one: one.loss, reverse=True)


def judged(data: bytes, images: np.ndarray, labels: np.ndarray) -> tuple[float, float]:
    """Returns mean cross-entropy and accuracy of a .tflite classifier."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(data)
        answers = verify.outputs(path, images).astype(np.float64)
    chosen = answers[np.arange(len(labels)), labels]
    if np.all(answers >= 0) and np.allclose(answers.sum(1), 1, atol=0.05):  # probabilities, perhaps in steps of 1/256
        losses = -np.log(np.maximum(chosen, _LEAST))
    else:
        highest = answers.max(1)
        losses = highest + np.log(np.exp(answers - highest[:, np.newaxis]).sum(1)) - chosen
    return float(losses.mean()), float(np.mean(answers.argmax(1) == labels))
