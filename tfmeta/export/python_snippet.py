"""A Python program that runs exactly one shipped file, with the pre- and post-processing that it needs."""

from __future__ import annotations

from string import Template

from tfmeta.export.flatbuffer import FlatModel
from tfmeta.export.preprocessing import PROBABILITIES, Preprocessing, answers

_TEMPLATE = Template('''\
"""Classifies pictures with $file. Needs numpy, ai-edge-litert and, for pictures in files, pillow.

    python $module.py picture.png ...

In a program: ``$module.Classifier().classify(pixels)``.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from ai_edge_litert.interpreter import Interpreter

MODEL = Path(__file__).resolve().parent.parent / $file_text
SHA256 = "$sha256"
LABELS = $labels
HEIGHT, WIDTH, CHANNELS = $height, $width, $channels


class Classifier:
    """The file in an interpreter. Not for use in several threads at once."""

    def __init__(self, path=MODEL, num_threads=1):
        data = Path(path).read_bytes()
        if hashlib.sha256(data).hexdigest() != SHA256:
            raise ValueError(f"{path} is not the file that this program was written for. Take both from one bundle.")
        self._interpreter = Interpreter(model_content=data, num_threads=num_threads)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()

    def classify(self, pixels, count=5):
        """Returns the ``count`` likeliest classes of one picture as (label, probability), the likeliest first.

        Args:
            pixels: $pixels.
        """
        probabilities = self.probabilities(pixels)
        return [(LABELS[i], float(probabilities[i])) for i in np.argsort(-probabilities)[:count]]

    def probabilities(self, pixels):
        """Returns the probability of each class."""
        self._interpreter.set_tensor(self._input["index"], self._stored(prepared(pixels)[np.newaxis]))
        self._interpreter.invoke()
        answer = self._interpreter.get_tensor(self._output["index"])[0]
        if answer.dtype != np.float32:
            scale, zero_point = self._output["quantization"]
            answer = (answer.astype(np.float32) - zero_point) * scale
        return $answer

    def _stored(self, values):
        if self._input["dtype"] == np.float32:
            return values
        scale, zero_point = self._input["quantization"]
        limits = np.iinfo(self._input["dtype"])
        return np.clip(np.round(values / scale) + zero_point, limits.min, limits.max).astype(self._input["dtype"])


def prepared(pixels):
    """Returns what the model reads: float32 [$height, $width, $channels]."""
    pixels = np.asarray(pixels)
    if pixels.shape != (HEIGHT, WIDTH, CHANNELS)$and_type:
        raise ValueError(f"Expected $pixels. Received: {pixels.dtype} {list(pixels.shape)}.")
    return $prepared


def read_picture(path):
    """Returns the picture at ``path`` as $pixels."""
    from PIL import Image

    image = Image.open(path).convert("$mode")
$fit

$softmax
def main(paths):
    classifier = Classifier()
    for path in paths:
        told = ", ".join(f"{label} {probability:.1%}" for label, probability in classifier.classify(read_picture(path)))
        print(f"{path}: {told}")


if __name__ == "__main__":
    main(sys.argv[1:])
''')

_RESIZE = """\
    shrinks = image.width >= WIDTH and image.height >= HEIGHT
    image = image.resize((WIDTH, HEIGHT), Image.Resampling.BOX if shrinks else Image.Resampling.BILINEAR)
    return np.asarray(image, np.uint8).reshape(HEIGHT, WIDTH, CHANNELS)
"""
_PAD = """\
    scale = min(WIDTH / image.width, HEIGHT / image.height, 1.0)  # black borders; shrunk only where it is too large
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    whole = Image.new(image.mode, (WIDTH, HEIGHT))
    whole.paste(image.resize(size, Image.Resampling.BOX), ((WIDTH - size[0]) // 2, (HEIGHT - size[1]) // 2))
    return np.asarray(whole, np.uint8).reshape(HEIGHT, WIDTH, CHANNELS)
"""
_SOFTMAX = '''
def softmax(logits):
    """Returns the probabilities of logits."""
    powers = np.exp(logits - np.max(logits))
    return powers / np.sum(powers)

'''


def module_name(file: str) -> str:
    """Returns a name that Python can import: "searched_int8" for "searched-int8.tflite"."""
    return file.removesuffix(".tflite").replace("-", "_").replace("+", "_").replace(".", "_")


def python_snippet(file: str, sha256: str, contents: FlatModel, preprocessing: Preprocessing) -> str:
    """Returns the program for one file, which lies in the folder above the program's.

    Args:
        file: its name.
        sha256: its hash; the program refuses any other file.
        contents: what is in it.
        preprocessing: what must be done before and after.
    """
    shape = f"[{preprocessing.height}, {preprocessing.width}, {preprocessing.channels}]"
    scaled = preprocessing.pixel_scale
    kind = f"uint8 {shape}, {preprocessing.color}" if scaled else f"float32 {shape}, prepared as in training"
    probabilities = answers(contents) == PROBABILITIES
    return _TEMPLATE.substitute(
        file=file,
        file_text=repr(file).replace("'", '"'),
        module=module_name(file),
        sha256=sha256,
        labels=repr(list(preprocessing.labels)),
        height=preprocessing.height,
        width=preprocessing.width,
        channels=preprocessing.channels,
        pixels=kind,
        and_type=" or pixels.dtype != np.uint8" if scaled else "",
        prepared=_scaled(scaled),
        answer="answer" if probabilities else "softmax(answer)",
        softmax="" if probabilities else _SOFTMAX,
        mode="L" if preprocessing.channels == 1 else "RGB",
        fit=_PAD if preprocessing.fit == "pad" else _RESIZE,
    )


def _scaled(pixel_scale: tuple[float, float] | None) -> str:
    scale, offset = pixel_scale or (1.0, 0.0)
    text = "pixels.astype(np.float32)"
    if scale != 1.0:
        text += f" * np.float32({scale!r})"
    if offset != 0.0:
        text += f" + np.float32({offset!r})"
    return text
