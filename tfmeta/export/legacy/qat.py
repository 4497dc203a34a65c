"""Quantization-aware training: the network learns with the rounding of int8 in its forward pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfmeta.export.legacy import ranges
from tfmeta.export.legacy.packages import made, tfmot
from tfmeta.export.legacy.quantizable import to_quantizable
from tfmeta.export.legacy.training import fit
from tfmeta.files import replacing
from tfmeta.graph.answers import gives_probabilities
from tfmeta.graph.channel_graph import ChannelGraph

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits
    from tfmeta.export.tuning import TuneOptions

_RANGE_IMAGES = 256
_COMPARED = 8


def quantized(
    model: Any,
    splits: Splits,
    options: TuneOptions,
    *,
    keep_zeros: bool = False,
    keep_clusters: bool = False,
    weights: Path | None = None,
) -> Any:
    """Returns a tf_keras model of ``model`` that was trained as int8 and knows the range of every tensor.

    Args:
        model: a trained Keras 3 classifier. It is not changed.
        splits: the data; only the training split is used.
        options: how to train.
        keep_zeros: weights that are zero stay so.
        keep_clusters: weights that are equal stay so.
        weights: a file (`*.weights.h5`) that the result is written to, or read from where it is.

    Raises:
        ExportError: a layer cannot be quantized.
        TrainingError: the loss is not a number.
    """
    images, _ = splits.train.sample(_RANGE_IMAGES, options.train.seed)
    legacy = to_quantizable(model, images[:_COMPARED], _scheme(keep_zeros, keep_clusters))
    if weights is not None and weights.exists():
        legacy.load_weights(weights)
        return _stripped(legacy, keep_clusters)
    _average_gradients(legacy)
    ranges.settle(legacy, images)
    fit(
        legacy,
        splits,
        options.train,
        probabilities=gives_probabilities(ChannelGraph.from_model(model)),
        description="Quantization-aware training",
    )
    if weights is not None:
        with replacing(weights) as temporary:
            legacy.save_weights(temporary)
    return _stripped(legacy, keep_clusters)


def _average_gradients(legacy: Any) -> None:
    """Lets each cluster move like the mean of its weights.

    TFMOT takes the sum: a step thousands of times as long as that of a weight, which ends in clusters that are nowhere.
    """
    for layer in legacy.layers:
        for _, _, variables in getattr(layer, "_weight_vars", ()):
            if (clustering := variables.get("clst_impl")) is not None:
                clustering.cluster_gradient_aggregation = type(clustering.cluster_gradient_aggregation).AVG


def _scheme(keep_zeros: bool, keep_clusters: bool) -> Any:
    combine = tfmot().experimental.combine
    if keep_clusters:
        return _each_on_its_own(combine.Default8BitClusterPreserveQuantizeScheme)(preserve_sparsity=keep_zeros)
    return combine.Default8BitPrunePreserveQuantizeScheme() if keep_zeros else None


def _each_on_its_own(base: Any) -> Any:
    """A scheme that makes a quantizer a layer.

    TFMOT's shares one between all, and the first layer without zeros turns off for all that zeros are kept.
    """

    class Registry:
        """Asks a registry that no other layer has asked."""

        def __init__(self, make: Callable[[], Any]) -> None:
            self._make = make

        def supports(self, layer: Any) -> bool:
            return bool(self._make().supports(layer))

        def get_quantize_config(self, layer: Any) -> Any:
            return self._make().get_quantize_config(layer)

    class Scheme(base):  # type: ignore[misc]
        """``base`` with such a registry."""

        def get_quantize_registry(self) -> Any:
            return Registry(super().get_quantize_registry)

    return Scheme


def _stripped(legacy: Any, keep_clusters: bool) -> Any:
    if not keep_clusters:
        return legacy
    return made(tfmot().experimental.combine.strip_clustering_cqat(legacy), "strip_clustering_cqat")
