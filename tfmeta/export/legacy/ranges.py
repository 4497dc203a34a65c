"""Ranges of activations before the first step of quantization-aware training."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from tfmeta.export.legacy.packages import tf_keras
from tfmeta.lazy import tf

_LOW, _HIGH = "_min", "_max"
# What TFMOT's moving average keeps of a range in a step. From its start, -6 to 6, it would need thousands of steps to
# reach the range of real activations, more than a short training has.
_KEPT = 0.999
_ENOUGH = 0.02  # a range that moves by less than this share of its width has settled


def settle(legacy: Any, images: np.ndarray) -> None:
    """Sets the range of every quantized activation of ``legacy`` to what ``images`` `[N, H, W, C]` give there.

    One pass in training mode moves every range by a known share towards that of the images, which so becomes known. A
    range counts only when those before it are right, so passes go on until all have settled. Weights stay.
    """
    pairs, batch = _ranges(legacy), tf.constant(images)
    with _statistics_frozen(legacy):
        run = tf.function(lambda images: legacy(images, training=True), autograph=False)
        for _ in range(len(pairs) + 1):
            known = [(low.numpy(), high.numpy()) for low, high in pairs]
            run(batch)
            if not any([_towards(*pair, *start) for pair, start in zip(pairs, known, strict=True)]):
                break


@contextlib.contextmanager
def _statistics_frozen(legacy: Any) -> Iterator[None]:
    """Lets batch normalisation compute as in a file, which a pass in training mode otherwise does not."""
    inner = [getattr(layer, "layer", layer) for layer in legacy.layers]
    norms = [layer for layer in inner if isinstance(layer, tf_keras().layers.BatchNormalization) and layer.trainable]
    for layer in norms:
        layer.trainable = False
    try:
        yield
    finally:
        for layer in norms:
            layer.trainable = True


def _ranges(legacy: Any) -> list[tuple[Any, Any]]:
    """The variables (least, largest) of every quantized activation; those of kernels are taken anew in every step."""
    found = {weight.name.split(":")[0]: weight for weight in legacy.non_trainable_weights}
    return [
        (weight, found[name.removesuffix(_LOW) + _HIGH])
        for name, weight in found.items()
        if name.endswith((f"activation{_LOW}", f"output{_LOW}"))
    ]


def _towards(low: Any, high: Any, low_before: np.ndarray, high_before: np.ndarray) -> bool:
    """Moves a range all the way that it was moved a share of; returns whether that was far."""
    target = [
        (variable.numpy() - _KEPT * start) / (1 - _KEPT) for variable, start in ((low, low_before), (high, high_before))
    ]
    width = max(float(target[1] - target[0]), 1e-6)
    far = max(abs(target[0] - low_before), abs(target[1] - high_before)) > _ENOUGH * width
    low.assign(min(float(target[0]), 0.0))
    high.assign(max(float(target[1]), 0.0))
    return bool(far)
