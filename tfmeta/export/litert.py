"""Runs a .tflite file with LiteRT as a phone would: image by image."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export.chatter import quiet

_MAX_INTERPRETERS = 16  # each holds the weights once more, and its own activations


def num_workers() -> int:
    """Returns how many interpreters of one file to run at once: one a core of this machine, 16 at most."""
    return min(os.cpu_count() or 1, _MAX_INTERPRETERS)


class Pool:
    """Interpreters of one .tflite file that share the images, a thread each.

    Args:
        path: a file with one input `[1, H, W, C]` and one output `[1, ...]`, of floats or integers.
        count: how many interpreters, above 0.

    Raises:
        ExportError: LiteRT cannot load the file, or it has other inputs or outputs.
    """

    def __init__(self, path: str | os.PathLike[str], count: int) -> None:
        with quiet():
            self._runners = [_Runner(path) for _ in range(count)]
        self._threads = ThreadPoolExecutor(count)  # they end when the pool is no longer used

    def run(self, images: np.ndarray) -> np.ndarray:
        """Returns the answers `[N, ...]` float32 to ``images`` `[N, H, W, C]`, one at a time.

        Where the file takes and gives integers, images are quantized and answers dequantized with
        its scales; integers without a scale stand for themselves.

        Raises:
            ExportError: the images have another shape than the file takes, or LiteRT cannot run it on them.
        """
        self._runners[0].check(images)
        answers = np.empty((len(images), *self._runners[0].answer_shape), np.float32)
        parts = (np.array_split(whole, len(self._runners)) for whole in (images, answers))
        for _ in self._threads.map(_Runner.run, self._runners, *parts):
            pass  # raises what went wrong in a thread
        return answers


@dataclass(frozen=True)
class Coverage:
    """What XNNPACK took over of a file on this machine.

    Attributes:
        nodes: operators that it runs.
        total: operators of the file.
        partitions: pieces in which it runs them.
        left: operators that it leaves to TFLite's own kernels, each once.
    """

    nodes: int
    total: int
    partitions: int
    left: tuple[str, ...]


def coverage(path: str | os.PathLike[str]) -> Coverage | None:
    """Runs the file at ``path`` once on zeros and returns what XNNPACK took over; None where LiteRT does not tell.

    Raises:
        ExportError: LiteRT cannot load or run it.
    """
    from ai_edge_litert.interpreter import Interpreter

    with quiet(), _refusals("run", path):
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
        for tensor in interpreter.get_input_details():
            if tensor["dtype"] not in (np.bytes_, np.str_):
                interpreter.set_tensor(tensor["index"], np.zeros(tensor["shape"], tensor["dtype"]))
        interpreter.invoke()
        told = getattr(interpreter, "_get_ops_details", None)
        return None if told is None else _coverage(told())


def _coverage(operators: list[dict[str, Any]]) -> Coverage:
    # A delegate's node comes after the file's own and tells only what goes in and out: what is computed in between is
    # what it took over.
    own = [operator for operator in operators if operator["op_name"] != "DELEGATE"]
    delegates = [operator for operator in operators if operator["op_name"] == "DELEGATE"]
    maker = {int(tensor): number for number, operator in enumerate(own) for tensor in operator["outputs"]}
    taken: set[int] = set()
    for delegate in delegates:
        inputs, todo = {int(tensor) for tensor in delegate["inputs"]}, [int(tensor) for tensor in delegate["outputs"]]
        while todo:
            number = maker.get(todo.pop())
            if number is not None and number not in taken:
                taken.add(number)
                todo += [int(tensor) for tensor in own[number]["inputs"] if int(tensor) not in inputs]
    left = {operator["op_name"]: None for number, operator in enumerate(own) if number not in taken}
    return Coverage(len(taken), len(own), len(delegates), tuple(left))


def tensors(path: str | os.PathLike[str], images: np.ndarray, indices: Sequence[int]) -> Iterator[Iterator[np.ndarray]]:
    """Yields what is computed inside the file, for one image of ``images`` `[N, H, W, C]` after the other.

    Integers are dequantized. No delegate takes part, since it would hide what is between its operators.

    Args:
        path: as for `Pool`.
        images: as for `Pool.run`.
        indices: of the tensors in the file.

    Yields:
        For each image the values `[1, ...]` float32 of each tensor, which are read one at a time and before the next
        image is asked for.

    Raises:
        ExportError: LiteRT cannot load or run the file, or the images do not fit it.
    """
    with quiet():
        runner = _Runner(path, every_tensor=True)
    runner.check(images)
    yield from runner.run_inside(images, indices)


class _Runner:
    """One interpreter with its scales; fed one image at a time."""

    def __init__(self, path: str | os.PathLike[str], *, every_tensor: bool = False) -> None:
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kernels = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES if every_tensor else OpResolverType.AUTO
        self._path = path
        with _refusals("load", path):
            self._interpreter = Interpreter(
                str(path),
                num_threads=1,
                experimental_preserve_all_tensors=every_tensor,
                experimental_op_resolver_type=kernels,
            )
            self._interpreter.allocate_tensors()
            ends = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._input, self._output = (_only(details, path) for details in ends)

    def check(self, images: np.ndarray) -> None:
        expected = [int(size) for size in self._input["shape"]]
        if [1, *images.shape[1:]] != expected:
            raise ExportError(
                f"Expected images of shape {expected[1:]}, as the file takes them. Received: {list(images.shape[1:])}."
            )

    @property
    def answer_shape(self) -> tuple[int, ...]:
        """Of one image."""
        return tuple(int(size) for size in self._output["shape"][1:])

    def run(self, images: np.ndarray, answers: np.ndarray) -> None:
        """Writes the answers to ``images`` into ``answers``."""
        for image, answer in zip(images, answers, strict=True):
            self._feed(image)
            answer[...] = _dequantize(self._interpreter.get_tensor(self._output["index"])[0], self._output)

    def run_inside(self, images: np.ndarray, indices: Sequence[int]) -> Iterator[Iterator[np.ndarray]]:
        details = {detail["index"]: detail for detail in self._interpreter.get_tensor_details()}
        for image in images:
            self._feed(image)
            yield (_dequantize(self._interpreter.get_tensor(index), details[index]) for index in indices)

    def _feed(self, image: np.ndarray) -> None:
        stored = _quantize(image[np.newaxis], self._input)
        with _refusals("run", self._path):
            self._interpreter.set_tensor(self._input["index"], stored)
            self._interpreter.invoke()


@contextlib.contextmanager
def _refusals(doing: str, path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns what LiteRT raises in the block into an `ExportError`."""
    try:
        yield
    except (RuntimeError, ValueError) as error:
        text = " ".join(str(error).split())
        raise ExportError(f"LiteRT cannot {doing} {str(path)!r}: {text[:300]}") from error


def _only(details: list[dict[str, Any]], path: str | os.PathLike[str]) -> dict[str, Any]:
    if len(details) != 1:
        raise ExportError(f"Expected one input and one output in {str(path)!r}. Received: {len(details)}.")
    (tensor,) = details
    shape, dtype = [int(size) for size in tensor["shape"]], np.dtype(tensor["dtype"])
    if dtype.kind not in "fiu":
        raise ExportError(
            f"Expected floats or integers at the input and the output of {str(path)!r}. Received: {dtype.name}. Run "
            "such files by hand."
        )
    if shape[:1] != [1]:
        raise ExportError(
            f"Expected a file for one image at a time, [1, ...] at the input and the output. Received: {shape} in "
            f"{str(path)!r}. Convert it with batch size 1."
        )
    return tensor


def _quantize(images: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    dtype, (scale, zero_point) = tensor["dtype"], tensor["quantization"]
    if np.issubdtype(dtype, np.floating):
        return images.astype(dtype, copy=False)
    limits = np.iinfo(dtype)
    stored = images if scale == 0.0 else images / scale  # 0: these integers stand for themselves
    return np.asarray(np.clip(np.round(stored) + zero_point, limits.min, limits.max), dtype)


def _dequantize(answers: np.ndarray, tensor: dict[str, Any]) -> np.ndarray:
    scale, zero_point = tensor["quantization"]
    if np.issubdtype(answers.dtype, np.floating) or scale == 0.0:
        return answers.astype(np.float32, copy=False)
    return np.asarray((answers.astype(np.float32) - zero_point) * scale, np.float32)
