"""How long a conversion takes, beside TensorFlow's own way from a Keras model to a TFLite file.

    python benchmarks/conversion.py

Both ways in turns, in one process; a ratio is of the medians. Writes conversion.json and conversion.md beside this
file.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import app, flags

from tfmeta import files
from tfmeta.export import converter, flatbuffer
from tfmeta.export.bundle import installed_versions
from tfmeta.lazy import keras, tf

_TURNS = flags.DEFINE_integer("turns", 5, "Turns of both ways.")

NETWORKS = (("MobileNetV2", 224), ("ResNet50", 224), ("EfficientNetB0", 224))
SCHEMES = ("fp32", "int8")


def main(argv: Sequence[str]) -> None:
    """Measures everything and writes the table."""
    rows = [_row(network, side, scheme) for network, side in NETWORKS for scheme in SCHEMES]
    here = Path(__file__).parent
    files.write_json(here / "conversion.json", {"rows": rows, "versions": installed_versions()})
    files.write_text(here / "conversion.md", _markdown(rows))


def _row(network: str, side: int, scheme: str) -> dict[str, Any]:
    builder = getattr(keras.applications, network)
    model = converter.with_batch_one(builder(weights=None, input_shape=(side, side, 3), classifier_activation=None))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(_TURNS.value):
        made = [
            _timed(seconds, lambda make=make: converter.run(model, _settled(make(model), scheme, side)))
            for make, seconds in ((converter.make, ours), (tf.lite.TFLiteConverter.from_keras_model, theirs))
        ]
    alike = [[(one.op, one.version) for one in flatbuffer.parse(data).operators] for data in made]
    row = {
        "network": f"{network}@{side}",
        "scheme": scheme,
        "seconds": float(np.median(ours)),
        "keras_seconds": float(np.median(theirs)),
        "alike": alike[0] == alike[1],
    }
    print(row, flush=True)
    return row


def _settled(conversion: Any, scheme: str, side: int) -> Any:
    conversion.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    if scheme == "int8":
        conversion.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        conversion.optimizations = [tf.lite.Optimize.DEFAULT]
        images = np.random.default_rng(0).random((4, 1, side, side, 3), np.float32)
        conversion.representative_dataset = lambda: ([image] for image in images)
    return conversion


def _timed(seconds: list[float], work: Callable[[], bytes]) -> bytes:
    start = time.perf_counter()
    data = work()
    seconds.append(time.perf_counter() - start)
    return data


def _markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = [
        "# Conversion",
        "",
        "Made by `python benchmarks/conversion.py`: from a Keras model in memory to the bytes of a TFLite file, as "
        f"tfmeta does it and with `TFLiteConverter.from_keras_model`, {_TURNS.value} turns of both, medians. int8 is "
        "calibrated with 4 images. *Alike*: both files have the same operators in the same order.",
        "",
        "| Network | Scheme | tfmeta | from_keras_model | Faster | Alike |",
        "| --- | --- | ---: | ---: | ---: | --- |",
    ]
    lines += [
        f"| {row['network']} | {row['scheme']} | {row['seconds']:.1f} s | {row['keras_seconds']:.1f} s | "
        f"{row['keras_seconds'] / row['seconds']:.1f}× | {'yes' if row['alike'] else 'NO'} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    app.run(main)
