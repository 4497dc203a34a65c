"""A Python program that runs exactly one shipped file, with the pre- and post-processing that it needs."""

from __future__ import annotations

from string import Template

from tfmeta.export.flatbuffer import FlatModel
from tfmeta.export.preprocessing import PROBABILITIES, Preprocessing, answers

_NETWORK = Template('''\
"""$does with $file. Needs $needs.

$use
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


class $class_name:
    """The file in an interpreter. Not for use in several threads at once."""

    def __init__(self, path=MODEL, num_threads=1):
        data = Path(path).read_bytes()
        if hashlib.sha256(data).hexdigest() != SHA256:
            raise ValueError(f"{path} is not the file that this program was written for. Take both from one bundle.")
        self._interpreter = Interpreter(model_content=data, num_threads=num_threads)
        self._interpreter.allocate_tensors()
        (self._input,) = self._interpreter.get_input_details()
        (self._output,) = self._interpreter.get_output_details()

$ask
    def probabilities(self, pixels):
        """Returns the probability of each class$for_each."""
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
    if pixels.shape != (HEIGHT, WIDTH, CHANNELS) or pixels.dtype != np.$dtype:
        raise ValueError(f"Expected $pixels. Received: {pixels.dtype} {list(pixels.shape)}.")
    return $prepared
''')

_CLASSIFY = '''\
    def classify(self, pixels, count=5):
        """Returns the ``count`` likeliest classes of one picture as (label, probability), the likeliest first.

        Args:
            pixels: $pixels.
        """
        probabilities = self.probabilities(pixels)
        return [(LABELS[i], float(probabilities[i])) for i in np.argsort(-probabilities)[:count]]
'''
_SEGMENT = '''\
    def segment(self, pixels):
        """Returns the class of each pixel of one picture, [$height, $width] numbers into LABELS.

        Args:
            pixels: $pixels.
        """
        return np.argmax(self.probabilities(pixels), axis=-1)
'''
_TELL_CLASSES = """\
told = ", ".join(f"{label} {probability:.1%}" for label, probability in network.classify(read_picture(path)))"""
_TELL_SHARES = """\
shares = np.bincount(network.segment(read_picture(path)).reshape(-1), minlength=len(LABELS)) / (HEIGHT * WIDTH)
        told = ", ".join(f"{LABELS[i]} {shares[i]:.1%}" for i in np.argsort(-shares) if shares[i])"""
_READ_PICTURE = Template('''\
def read_picture(path):
    """Returns the picture at ``path`` as $pixels."""
    from PIL import Image

    picture = Image.open(path).convert("$mode")
    image = np.asarray(picture).reshape(picture.height, picture.width, CHANNELS)
$fit

def resized(image, height, width):
    """Returns the image as uint8 [height, width, channels]: areas averaged where it shrinks, as training did it."""
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    for size in (height, width):
        rows = [np.tensordot(parts, image[pixels], 1) for pixels, parts in shares(len(image), size, shrinks)]
        image = np.swapaxes(rows, 0, 1)  # so the second time rows are columns
    return np.floor(image + 0.5).astype(np.uint8)


def shares(old, new, shrinks):
    """Yields for each of ``new`` pixels in a row which of the ``old`` ones it is made of, and their shares."""
    step = old / new
    radius = step / 2 if shrinks else max(1.0, step)
    for centre in (np.arange(new) + 0.5) * step:
        pixels = np.arange(int(max(0.0, centre - radius)), int(min(old - 1.0, centre + radius)) + 1)
        if shrinks:
            parts = np.minimum(centre + radius, pixels + 1.0) - np.maximum(centre - radius, pixels)
        else:
            parts = 1.0 - np.abs(pixels + 0.5 - centre) / radius
        parts = np.maximum(parts, 0.0)
        yield pixels, parts / parts.sum()
''')
_MAIN = Template("""\
def main(paths):
    network = $class_name()
    for path in paths:
        $tell
        print(f"{path}: {told}")


if __name__ == "__main__":
    main(sys.argv[1:])
""")
_NO_MAIN = """\
if __name__ == "__main__":
    sys.exit("Expected to be imported: only the training data tells how a picture becomes what the network reads.")
"""
_RESIZE = """\
    return resized(image, HEIGHT, WIDTH)
"""
_PAD = """\
    scale = min(WIDTH / picture.width, HEIGHT / picture.height, 1.0)  # black borders; shrunk only where it is too large
    height, width = max(1, round(picture.height * scale)), max(1, round(picture.width * scale))
    top, left = (HEIGHT - height) // 2, (WIDTH - width) // 2
    whole = np.zeros((HEIGHT, WIDTH, CHANNELS), np.uint8)
    whole[top : top + height, left : left + width] = resized(image, height, width)
    return whole
"""
_SOFTMAX = '''\
def softmax(logits):
    """Returns the probabilities of logits."""
    powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return powers / np.sum(powers, axis=-1, keepdims=True)
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
    probabilities = answers(contents) == PROBABILITIES
    blocks = [
        _network(file, sha256, preprocessing, probabilities),
        *([_read_picture(preprocessing)] if preprocessing.takes_pictures else []),
        *([] if probabilities else [_SOFTMAX]),
        _main(preprocessing) if preprocessing.takes_pictures else _NO_MAIN,
    ]
    return "\n\n".join(blocks)


def _network(file: str, sha256: str, preprocessing: Preprocessing, probabilities: bool) -> str:
    """The class with everything that an array needs."""
    segments, pictures = bool(preprocessing.label_shape), preprocessing.takes_pictures
    module, class_name = module_name(file), _class_name(preprocessing)
    use = f"In a program: ``{module}.{class_name}().{'segment' if segments else 'classify'}(pixels)``."
    size = {"pixels": _pixels(preprocessing), "height": preprocessing.height, "width": preprocessing.width}
    return _NETWORK.substitute(
        size,
        does="Finds the class of each pixel of pictures" if segments else "Classifies pictures",
        needs="numpy, ai-edge-litert and, for pictures in files, pillow" if pictures else "numpy and ai-edge-litert",
        use=f"    python {module}.py picture.png ...\n\n{use}" if pictures else use,
        class_name=class_name,
        ask=Template(_SEGMENT if segments else _CLASSIFY).substitute(size),
        for_each=f" for each pixel, [{preprocessing.height}, {preprocessing.width}, classes]" if segments else "",
        file=file,
        file_text=repr(file).replace("'", '"'),
        sha256=sha256,
        labels=repr(list(preprocessing.labels)),
        channels=preprocessing.channels,
        dtype=_dtype(preprocessing),
        prepared=_scaled(preprocessing.pixel_scale),
        answer="answer" if probabilities else "softmax(answer)",
    )


def _read_picture(preprocessing: Preprocessing) -> str:
    return _READ_PICTURE.substitute(
        pixels=_pixels(preprocessing),
        mode="L" if preprocessing.channels == 1 else "RGB",
        fit=_PAD if preprocessing.fit == "pad" else _RESIZE,
    )


def _main(preprocessing: Preprocessing) -> str:
    tell = _TELL_SHARES if preprocessing.label_shape else _TELL_CLASSES
    return _MAIN.substitute(class_name=_class_name(preprocessing), tell=tell)


def _class_name(preprocessing: Preprocessing) -> str:
    return "Segmenter" if preprocessing.label_shape else "Classifier"


def _dtype(preprocessing: Preprocessing) -> str:
    return "float32" if preprocessing.pixel_scale is None else "uint8"


def _pixels(preprocessing: Preprocessing) -> str:
    shape = f"[{preprocessing.height}, {preprocessing.width}, {preprocessing.channels}]"
    what = "prepared as in training" if preprocessing.pixel_scale is None else preprocessing.color
    return f"{_dtype(preprocessing)} {shape}, {what}"


def _scaled(pixel_scale: tuple[float, float] | None) -> str:
    scale, offset = pixel_scale or (1.0, 0.0)
    text = "pixels.astype(np.float32)"
    if scale != 1.0:
        text += f" * np.float32({scale!r})"
    if offset != 0.0:
        text += f" + np.float32({offset!r})"
    return text
