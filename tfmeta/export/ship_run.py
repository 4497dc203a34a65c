"""The part of the ship check that runs the file: does it load, who computes it, does it agree with a float file?

It runs in another process, so that a file which ends that one has a finding like any other.
"""

from __future__ import annotations

import os

import numpy as np

from tfmeta.errors import ExportError, UserError
from tfmeta.export import flatbuffer, isolated, verify
from tfmeta.export.flatbuffer import FlatModel
from tfmeta.export.interface import Tolerance
from tfmeta.export.model_metadata import label_shape
from tfmeta.export.ship_check import FAIL, INFO, OK, WARN, Finding

_RANDOM_IMAGES = 32
_MIN_CLASS_AGREEMENT = 0.9
_QUANTIZED = {"INT2", "INT4", "INT8", "UINT8", "INT16"}
_BLUR = 3  # passes; random pixels that are blurred look more like a picture to a network


def host_delegation(path: str | os.PathLike[str], *, required: bool = False) -> Finding:
    """Returns how much of the file XNNPACK runs on this machine, having run it once.

    Args:
        path: the file.
        required: whether it fails when anything is left to other kernels, or may be.
    """
    try:
        found = isolated.coverage(path)
    except ExportError as error:
        return Finding("host", FAIL, str(error))
    if found is None:
        return Finding("host", FAIL if required else INFO, "runs; this LiteRT does not tell what XNNPACK took over")
    complete = found.nodes == found.total
    return delegation("XNNPACK", complete, found.nodes, found.total, found.partitions, found.left, required=required)


def delegation(
    name: str,
    complete: bool,
    nodes: int | None,
    total: int | None,
    partitions: int | None,
    left: tuple[str, ...] = (),
    *,
    required: bool = False,
) -> Finding:
    """Returns what a delegate took over as a finding.

    Args:
        name: of the delegate.
        complete: whether it runs the whole file.
        nodes: operators that it runs; None, as for the next two, where the runtime does not tell.
        total: operators of the file.
        partitions: pieces in which it runs them.
        left: operators that it leaves out, where they are known.
        required: whether it fails when anything is left.
    """
    text = f"{name} runs {'all' if complete else 'a part'} of the operators"
    if nodes is not None and total:
        text = f"{name} runs {nodes} of {total} operators ({nodes / total:.0%})"
    if partitions is not None:
        text += f" in {partitions} piece{'' if partitions == 1 else 's'}"
    if complete:
        return Finding("delegate", OK, text)
    rest = f"; left to slower kernels: {', '.join(left)}" if left else ""
    return Finding("delegate", FAIL if required else WARN, f"{text}{rest}")


def agreement(
    path: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    samples: np.ndarray | None,
    *,
    min_class_agreement: float | None = None,
    max_relative_error: float | None = None,
) -> Finding:
    """Returns whether the file answers as the float file ``reference`` does.

    Args:
        path: the file to ship. Where tfmeta's metadata in it, or in the reference, says that each pixel has a class,
            those are compared.
        reference: a float .tflite file of the same network.
        samples: images `[N, H, W, C]` float32, prepared for the network; None draws random ones.
        min_class_agreement: share of the answers that must be the same class, 0 to 1; None asks for 0.9 where the
            answers are classes.
        max_relative_error: the largest difference allowed, divided by the largest answer of the reference; None asks
            for 0.2 where the answers are no classes.
    """
    asked = _MIN_CLASS_AGREEMENT if min_class_agreement is None else min_class_agreement
    try:
        tolerance = Tolerance(asked, max_relative_error)
        contents, expected = flatbuffer.read(path), flatbuffer.read(reference)
        _require_float(expected, reference)
        images = _random_images(contents) if samples is None else samples
        found = isolated.agreement(path, reference, images, label_shape(contents) or label_shape(expected))
    except ExportError as error:
        return Finding("agreement", FAIL, str(error))
    what = f"{found.num_samples} images"
    if samples is None:
        what = f"{len(images)} random images from {images.min():.3g} to {images.max():.3g} (give samples for real ones)"
    text = f"largest difference {found.max_abs_error:.3g}, mean {found.mean_abs_error:.3g}, on {what}"
    if problems := verify.problems(found, tolerance):
        advice = "Check the calibration images, or keep more of the network in float."
        return Finding("agreement", FAIL, f"{' and '.join(problems)}, {text}. {advice}")
    if found.class_agreement is not None:
        return Finding("agreement", OK, f"same class as the float file on {found.class_agreement:.1%}, {text}")
    if min_class_agreement is not None:
        advice = "Compare its numbers instead, with a largest relative error."
        return Finding("agreement", FAIL, f"neither file says that its answers are scores of classes. {advice}")
    return Finding("agreement", OK, f"relative error {found.max_relative_error:.2g}, {text}")


def read_samples(path: str | os.PathLike[str]) -> np.ndarray:
    """Returns the images `[N, H, W, C]` float32 in an .npy file.

    Raises:
        UserError: it holds anything else.
    """
    try:
        samples = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"Cannot read the samples at {str(path)!r} ({error}). Expected an .npy file.") from error
    if not isinstance(samples, np.ndarray) or samples.ndim != 4 or samples.dtype != np.float32 or not len(samples):
        received = f"{samples.dtype} {list(samples.shape)}" if isinstance(samples, np.ndarray) else "an archive"
        raise UserError(
            f"Expected images [N, H, W, C] float32, prepared for the network, in {str(path)!r}. Received: {received}."
        )
    return samples


def _require_float(contents: FlatModel, path: str | os.PathLike[str]) -> None:
    computed = [tensor for one in contents.operators for tensor in one.outputs]
    constants = [tensor for one in contents.operators for tensor in one.inputs if tensor.constant]
    weights = [tensor for tensor in constants if tensor.quantization is not None]  # the others are axes and sizes
    integer = {tensor.dtype for tensor in computed + weights} & _QUANTIZED
    if integer:
        raise ExportError(
            f"Expected a float file as the reference. Received: {str(path)!r}, with values or weights in "
            f'{", ".join(sorted(integer)).lower()}. Export the network with scheme="fp32" and give that.'
        )


def _random_images(contents: FlatModel) -> np.ndarray:
    if len(contents.inputs) != 1:
        raise ExportError(f"Expected one input. Received: {len(contents.inputs)}. Compare such files by hand.")
    (image,) = contents.inputs.values()
    low, high = _range(contents)
    values = np.random.default_rng(0).random((_RANDOM_IMAGES, *image.shape[1:]))
    for axis in (1, 2) * _BLUR if values.ndim == 4 else ():
        values = (values + np.roll(values, 1, axis)) / 2
    spread = (values - values.min()) / max(float(np.ptp(values)), 1e-9)
    return np.asarray(low + spread * (high - low), np.float32)


def _range(contents: FlatModel) -> tuple[float, float]:
    """What the file can tell apart at its input: the range it was calibrated for, or that of integers without a scale;
    0 to 1 where it does not say."""
    ends = [*contents.inputs.values()]
    ends += [tensor for one in contents.operators[:1] if one.op == "QUANTIZE" for tensor in one.outputs]
    for tensor in ends:
        limits = {"INT8": (-128, 127), "UINT8": (0, 255), "INT16": (-32768, 32767)}.get(tensor.dtype)
        if limits:
            known = tensor.quantization
            scale, zero = (1.0, 0) if known is None else (known.scale[0], known.zero_point[0])
            return (limits[0] - zero) * scale, (limits[1] - zero) * scale
    return 0.0, 1.0
