"""Writes a Keras model as a .tflite file, run against the model before it gets its name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta import files
from tfmeta.errors import ExportError
from tfmeta.export import ALL_SCHEMES, converter, flatbuffer, layer_errors, verify
from tfmeta.export import calibration as calibration_images
from tfmeta.export.interface import Scheme, Tolerance
from tfmeta.export.model_metadata import embedded
from tfmeta.export.preprocessing import Preprocessing
from tfmeta.export.runtime_version import MinimumRuntime, minimum_runtime
from tfmeta.export.tuning import Trained
from tfmeta.registry import resolve

if TYPE_CHECKING:
    import keras

# Below the former, or with a larger error where there are no classes, one wants to know which layers it is.
_CLEAR_CLASSES = 0.97
_CLEAR = 0.05


@dataclass(frozen=True)
class ExportResult:
    """A written and verified .tflite file.

    Attributes:
        path: where it is.
        scheme: the quantization scheme.
        sha256: of the file, in hexadecimal.
        size_bytes: of the file.
        agreement: how near it is on the samples to the Keras model that it was converted from, which is what the
            tolerance is about.
        float_agreement: how near it is to the float model that the scheme began with: another one where it trains.
        contents: operators, inputs and outputs.
        minimum_runtime: the oldest TFLite runtime that can run it.
        layer_errors: what each layer adds to the error, the worst first; only where the agreement is low.
        training: what the training of the scheme reached, where it trains.
    """

    path: Path
    scheme: str
    sha256: str
    size_bytes: int
    agreement: verify.Agreement
    float_agreement: verify.Agreement
    contents: flatbuffer.FlatModel
    minimum_runtime: MinimumRuntime
    layer_errors: tuple[layer_errors.LayerError, ...] = ()
    training: Mapping[str, Any] | None = None


def export_tflite(
    model: keras.Model | Trained,
    path: str | os.PathLike[str],
    scheme: str | Scheme = "int8",
    calibration: np.ndarray | None = None,
    reference_samples: np.ndarray | None = None,
    *,
    min_class_agreement: float | None = None,
    max_relative_error: float | None = None,
    min_calibration_images: int = calibration_images.MIN_IMAGES,
    preprocessing: Preprocessing | None = None,
) -> ExportResult:
    """Writes ``model`` to ``path`` as a .tflite file and returns what was written.

    The file has batch size 1, fixed shapes, one input (named as the model's Input, or "image"), one
    output named "output", and builtin operators only. It is run with LiteRT on real samples and
    compared with ``model``; it gets its name only when both agree. A file that was at ``path``
    before stays as it was when anything fails.

    Args:
        model: a built Functional or Sequential Keras model with one image input and one output; for
            schemes that train, what their ``train`` gave.
        path: the .tflite file to write.
        scheme: a name in ``tfmeta.export.ALL_SCHEMES``, or a scheme itself.
        calibration: `[N, H, W, C]` float32 from the training split, prepared as in training; tells
            a quantizer the ranges. Schemes without quantized activations need none.
        reference_samples: `[M, H, W, C]` float32 to compare file and model on; the calibration
            images by default. Calibrated schemes need them where nothing else tells that the calibration images are
            scaled as in training: no batch norm, no Rescaling in the model and no scale in ``preprocessing``.
        min_class_agreement: the part of answers, 0 to 1, that must be the same class; the scheme's by default.
        max_relative_error: the largest difference of an output, as a part of the largest output;
            the scheme's by default.
        min_calibration_images: the least number of calibration images that is enough.
        preprocessing: labels and normalisation, written into the file as metadata. It also tells which range the
            calibration images must have, and whether a map of outputs is one of classes; without it, a map is
            compared by its error alone.

    Raises:
        ExportError: the model has operators that TFLite has no builtin for (the text names the
            layer), the images are unfit, or the file does not compute what the model computes.
        UserError: no such scheme.
        OSError: ``path`` or the folder for temporary files cannot be written to, or is full.
    """
    chosen = scheme if isinstance(scheme, Scheme) else resolve(ALL_SCHEMES, scheme, "quantization scheme")
    trained = _checked(chosen, model)
    model = trained.model
    named = converter.with_batch_one(model) if chosen.train is None else model
    if preprocessing is not None:
        preprocessing.require_fit(model.inputs[0].shape[1:], model.outputs[0].shape[1:])
    scale = None if preprocessing is None else preprocessing.pixel_scale
    calibration, samples = _images(model, chosen, calibration, reference_samples, min_calibration_images, scale)
    tolerance = _tolerance(chosen, min_class_agreement, max_relative_error)
    data = chosen.convert(named, calibration)
    if preprocessing is not None:
        data = embedded(data, preprocessing, str(model.name))
    contents = flatbuffer.parse(data)
    _require_shippable(contents)
    with files.replacing(path) as temporary:
        temporary.write_bytes(data)
        label_shape = preprocessing.label_shape if preprocessing else ()
        agreement = verify.compare(temporary, model, samples, label_shape)
        layers = _doubtful(agreement, tolerance, temporary, model, samples)
        verify.require(agreement, tolerance, chosen, lambda: layer_errors.worst(layers))
        same = trained.network is model
        float_agreement = agreement if same else verify.compare(temporary, trained.network, samples, label_shape)
    return ExportResult(
        path=Path(path),
        scheme=chosen.name,
        sha256=files.sha256(path),
        size_bytes=len(data),
        agreement=agreement,
        float_agreement=float_agreement,
        contents=contents,
        minimum_runtime=minimum_runtime(contents),
        layer_errors=layers,
        training=trained.details or None,
    )


def _doubtful(
    agreement: verify.Agreement, tolerance: Tolerance, path: Path, model: Any, samples: np.ndarray
) -> tuple[layer_errors.LayerError, ...]:
    """The error of each layer where the agreement is low or too low, which is when one wants to know; else nothing."""
    same = agreement.class_agreement
    clear = agreement.max_relative_error <= _CLEAR if same is None else same >= _CLEAR_CLASSES
    if clear and not verify.problems(agreement, tolerance):
        return ()
    return layer_errors.layer_errors(path, model, samples)


def _checked(scheme: Scheme, model: keras.Model | Trained) -> Trained:
    """The model, where it comes from, and what its training reached."""
    if isinstance(model, Trained) != (scheme.train is not None):
        raise ExportError(
            f"Expected {'what its train() gives' if scheme.train else 'a Keras model'} for the scheme {scheme.name!r}. "
            f"Received: {type(model).__name__}. "
            + ("It trains the network before it is converted: tfmeta export does both." if scheme.train else "")
        )
    return model if isinstance(model, Trained) else Trained(model, {}, model)


def _images(
    model: keras.Model,
    scheme: Scheme,
    calibration: np.ndarray | None,
    samples: np.ndarray | None,
    min_images: int,
    pixel_scale: tuple[float, float] | None,
) -> tuple[np.ndarray | None, np.ndarray]:
    if scheme.needs_calibration and calibration is None:
        raise ExportError(
            f"Expected calibration images for the scheme {scheme.name!r}. Received: none. "
            "Pass calibration=images, float32 [N, H, W, C] from the training split."
        )
    given = samples
    if calibration is not None:
        calibration = calibration_images.checked_images(model, calibration, "calibration images")
        samples = calibration if samples is None else samples
    if samples is None:
        raise ExportError(
            "Expected images to compare the file with the Keras model on. Received: none. "
            "Pass reference_samples=images, float32 [N, H, W, C]."
        )
    samples = calibration_images.checked_images(model, samples, "reference samples")
    if scheme.needs_calibration and calibration is not None:
        reference = None if given is None else samples
        calibration_images.check_calibration(
            model, calibration, min_images=min_images, reference=reference, pixel_scale=pixel_scale
        )
    return calibration, samples


def _tolerance(scheme: Scheme, min_agreement: float | None, max_error: float | None) -> Tolerance:
    default = scheme.tolerance
    return Tolerance(
        min_class_agreement=default.min_class_agreement if min_agreement is None else min_agreement,
        max_relative_error=default.max_relative_error if max_error is None else max_error,
    )


def _require_shippable(contents: flatbuffer.FlatModel) -> None:
    custom = sorted({operator.op for operator in contents.operators if operator.op.startswith("CUSTOM")})
    if custom:
        raise ExportError(
            f"Expected builtin operators only. Received: {', '.join(custom)}. A phone has no code for those."
        )
    if not contents.signatures:
        raise ExportError("Expected a file with a signature, by which apps find its input and output. Received: none.")
    for name, tensor in {**contents.inputs, **contents.outputs}.items():
        if -1 in tensor.shape_signature:
            raise ExportError(
                f"Expected fixed shapes. Received: {list(tensor.shape_signature)} for {name!r}. "
                "Build the model with the image size that the phone will feed."
            )
