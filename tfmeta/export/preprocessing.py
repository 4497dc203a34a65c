"""What an app must do before and after a network: the size of images, the scale of pixels, the names of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tfmeta import tasks
from tfmeta.errors import ExportError
from tfmeta.export.flatbuffer import FlatModel

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits
    from tfmeta.tasks import Task

PROBABILITIES, LOGITS = "probabilities", "logits"
# Operators that change no number, but its type or its place.
_SAME_NUMBERS = frozenset(("CAST", "DEQUANTIZE", "EXPAND_DIMS", "QUANTIZE", "RESHAPE", "SQUEEZE", "TRANSPOSE"))


@dataclass(frozen=True)
class Preprocessing:
    """From a picture to what a network reads, and from what it answers to a name.

    Attributes:
        height: of the image that the network takes.
        width: likewise.
        channels: 1 for grey, 3 for red, green, blue.
        fit: how a picture gets that size: "resize" stretches it, "pad" puts black borders around it, having shrunk it
            first where it is too large.
        pixel_scale: (scale, offset): what the network reads is pixel * scale + offset, of a pixel from 0 to 255. None
            where it was trained on numbers of the user's own.
        labels: names of the classes, in the order of the outputs.
        label_shape: () where the network answers with a score for each class, (H, W) where it does so for each pixel
            of the image.

    Raises:
        ExportError: no labels, or some that cannot stand on a line of their own.
    """

    height: int
    width: int
    channels: int
    fit: str
    pixel_scale: tuple[float, float] | None
    labels: tuple[str, ...]
    label_shape: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        bad = [label for label in self.labels if not label.strip() or "\n" in label]
        if not self.labels or bad:
            received = f"{bad[0]!r}" if bad else "none"
            raise ExportError(f"Expected a label of one line for each class. Received: {received}.")

    @classmethod
    def of(cls, splits: Splits) -> Preprocessing:
        """Returns what was done to the images that the networks of ``splits`` were trained on."""
        height, width, channels = splits.image_shape
        scale = splits.train.pixel_scale
        return cls(height, width, channels, splits.fit, scale, splits.class_names, splits.label_shape)

    @property
    def task(self) -> Task:
        """What the network does."""
        return tasks.of(self.label_shape)

    @property
    def color(self) -> str:
        """ "grey", "RGB", or "N channels"."""
        return {1: "grey", 3: "RGB"}.get(self.channels, f"{self.channels} channels")

    @property
    def takes_pictures(self) -> bool:
        """Whether pixels from 0 to 255 of a grey or coloured picture become what the network reads in a known way."""
        return self.pixel_scale is not None and self.channels in (1, 3)

    def require_fit(self, inputs: Sequence[int | None], outputs: Sequence[int | None]) -> None:
        """Raises unless a network of such input and output shapes, without the batch, is what this describes.

        Raises:
            ExportError: another image size, or labels that do not fit the classes.
        """
        image = (self.height, self.width, self.channels)
        if tuple(inputs) != image:
            raise ExportError(f"Expected a network that takes images of {list(image)}. Received: {list(inputs)}.")
        if tuple(outputs) != (*self.label_shape, len(self.labels)):
            per_pixel = f" for each of {list(self.label_shape)} pixels" if self.label_shape else ""
            raise ExportError(
                f"Expected one label for each class: the network answers {list(outputs)}. Received: "
                f"{len(self.labels)} labels ({', '.join(self.labels[:3])} …){per_pixel}. Give those that it was "
                "trained with."
            )

    def to_json(self) -> dict[str, Any]:
        """Returns everything as plain data, with a sentence for people."""
        scaled = None if self.pixel_scale is None else {"scale": self.pixel_scale[0], "offset": self.pixel_scale[1]}
        return {
            "about": "model input = pixel * scale + offset, pixel from 0 to 255; no scale: as in training",
            "image": {"height": self.height, "width": self.width, "channels": self.channels, "color": self.color},
            "fit": self.fit,
            "normalization": scaled,
            "task": self.task.name,
            "output": {"shape": [1, *self.label_shape, len(self.labels)], "answer": "argmax of the last axis"},
            "labels": list(self.labels),
        }


def answers(contents: FlatModel) -> str:
    """Returns whether the (first) output of a file is "probabilities" of the classes, those of a softmax, or "logits".

    What comes after the softmax and changes only the shape or the type of the numbers does not count.
    """
    wanted = next(iter(contents.outputs.values()))
    for operator in reversed(contents.operators):
        if wanted in operator.outputs:
            if operator.op not in _SAME_NUMBERS:
                return PROBABILITIES if operator.op == "SOFTMAX" else LOGITS
            wanted = operator.inputs[0]
    return LOGITS
