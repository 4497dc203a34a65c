"""Sparse and clustered kernels: TFMOT trains them, and they are carried back into a plain Keras 3 network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta.errors import ExportError
from tfmeta.export.legacy.packages import made, tf_keras, tfmot
from tfmeta.export.legacy.rebuild import from_legacy, to_legacy
from tfmeta.export.legacy.training import fit
from tfmeta.graph.answers import gives_probabilities
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.prune import source_kernel

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits
    from tfmeta.export.tuning import TuneOptions

# The share of the steps in which sparsity rises; the rest is for the weights that stay.
_RISING = 0.7
_UPDATES = 50  # how often masks are taken anew while it rises
_TWO_OF_FOUR = (2, 4)
_COMPARED = 8  # images that the network is compared with its copy in tf_keras on


def sparse(model: Any, splits: Splits, options: TuneOptions, two_of_four: bool = False) -> Any:
    """Returns a copy of ``model`` whose `eligible` kernels are zero in a share of their places, trained to do without.

    Args:
        model: a trained Keras 3 classifier. It is not changed.
        splits: the data; only the training split is used.
        options: how to train, and the sparsity.
        two_of_four: two zeros in every four places along the inputs, whatever the sparsity of ``options``.

    Raises:
        ExportError: tf_keras or TFMOT lacks something, or the kernels did not become sparse.
    """
    api = tfmot().sparsity.keras
    steps = options.train.epochs * splits.train.steps(options.train.batch_size)
    if two_of_four:
        settings = {
            "pruning_schedule": api.ConstantSparsity(0.5, 0, frequency=max(1, steps // _UPDATES)),
            "sparsity_m_by_n": _TWO_OF_FOUR,
        }
    else:
        end = max(1, round(_RISING * steps))
        settings = {
            "pruning_schedule": api.PolynomialDecay(0.0, options.sparsity, 0, end, frequency=max(1, end // _UPDATES))
        }

    def wrap(layer: Any) -> Any:
        return api.prune_low_magnitude(layer, **settings)

    result = _trained(model, splits, options, "sparse", wrap, api.strip_pruning, callbacks=[api.UpdatePruningStep()])
    reached, wanted = sparsity(result), 0.5 if two_of_four else options.sparsity
    if reached < wanted - 0.02:
        raise ExportError(
            f"Expected kernels with {wanted:.0%} zeros. Received: {reached:.1%}. Train for more steps "
            "(--tune_epochs), so that the schedule comes to its end."
        )
    return result


def clustered(model: Any, splits: Splits, options: TuneOptions, keep_zeros: bool = False) -> Any:
    """Returns a copy of ``model`` whose `eligible` kernels have few distinct values, trained to do with those.

    Args:
        model: as for `sparse`.
        splits: as for `sparse`.
        options: how to train, and the number of clusters.
        keep_zeros: places that are zero stay so, and zero is one of the values.

    Raises:
        ExportError: as for `sparse`.
    """
    api = tfmot().clustering.keras
    start = {"cluster_centroids_init": api.CentroidInitialization.KMEANS_PLUS_PLUS}

    def wrap(layer: Any) -> Any:
        return api.cluster_weights(layer, options.clusters, **start, preserve_sparsity=keep_zeros)

    result = _trained(model, splits, options, "clustered", wrap, api.strip_clustering)
    most = distinct(result)
    if most > options.clusters + keep_zeros:
        raise ExportError(
            f"Expected at most {options.clusters} distinct values a kernel. Received: {most}. Export it with another "
            "scheme; tensorflow-model-optimization did not cluster this network."
        )
    return result


def eligible(model: Any) -> tuple[str, ...]:
    """Returns the layers whose kernels are made sparse or clustered.

    Those of depthwise convolutions have too few weights to do without any, and TFMOT leaves them alone too. So has the
    layer that reads the image, whose inputs are the pixels' channels.
    """
    graph = ChannelGraph.from_model(model)
    pixels = {graph.nodes[value.node].roles["out"] for value in graph.inputs}
    found = [
        node.layer
        for node in graph.nodes
        if node.op in ("Conv2D", "Dense") and node.call.config.get("groups", 1) == 1 and node.roles["in"] not in pixels
    ]
    return tuple(dict.fromkeys(found))


def sparsity(model: Any) -> float:
    """Returns the share of zeros in the `eligible` kernels of a Keras 3 model."""
    kernels = [np.asarray(source_kernel(model, layer)) for layer in eligible(model)]
    return float(sum(np.sum(kernel == 0) for kernel in kernels) / sum(kernel.size for kernel in kernels))


def distinct(model: Any) -> int:
    """Returns the largest number of distinct values in an `eligible` kernel of a Keras 3 model."""
    return max(len(np.unique(np.asarray(source_kernel(model, layer)))) for layer in eligible(model))


def _trained(
    model: Any,
    splits: Splits,
    options: TuneOptions,
    kind: str,
    wrap: Callable[[Any], Any],
    strip: Callable[[Any], Any],
    **places: Any,
) -> Any:
    chosen = eligible(model)
    if not chosen:
        raise ExportError(
            f"Expected a network with kernels that can be made {kind}. Received: {model.name!r}, whose only kernels "
            "are depthwise or read the image. Export it with another scheme."
        )
    images, _ = splits.train.sample(_COMPARED, options.train.seed)
    legacy = to_legacy(model, images)
    wrapped = made(tf_keras().models.clone_model(legacy, clone_function=_only(chosen, wrap, kind)), f"{kind} wrapping")
    fit(
        wrapped,
        splits,
        options.train,
        probabilities=gives_probabilities(ChannelGraph.from_model(model)),
        description=f"Training {kind} kernels",
        **places,
    )
    return recalibrated(from_legacy(made(strip(wrapped), f"strip of {kind} wrappers"), model), splits, options)


def _only(chosen: tuple[str, ...], wrap: Callable[[Any], Any], kind: str) -> Callable[[Any], Any]:
    def change(layer: Any) -> Any:
        if layer.name not in chosen:
            return layer
        wrapped = wrap(layer)
        if not isinstance(wrapped, tf_keras().layers.Wrapper):
            raise ExportError(
                f"Expected tensorflow-model-optimization to make the kernel of layer {layer.name!r} {kind}. Received: "
                f"{type(wrapped).__name__}, which changes nothing. It may have fewer weights than clusters: lower "
                "--clusters, or export with another scheme."
            )
        return wrapped

    return change


def recalibrated(model: Any, splits: Splits, options: TuneOptions) -> Any:
    """Returns ``model`` with exact batch-norm statistics in the place of moving averages; kernels stay."""
    from tfmeta.supernet.evaluation import Evaluator
    from tfmeta.training import batches_of, plain_net

    net = plain_net(model)
    images, _ = splits.train.sample(options.train.calibration_images, options.train.seed)
    return Evaluator(net).plain_model(net.space.full(), batches_of(images, options.train.batch_size))
