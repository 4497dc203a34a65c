"""Trains tf_keras models on the project's own data, in its own order and with its own settings."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tfmeta.errors import TrainingError
from tfmeta.export.legacy.packages import tf_keras
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.lazy import tf
from tfmeta.progress import meter

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits
    from tfmeta.training import TrainOptions

_CHECK_EVERY = 20  # reading the loss waits for the step to end


def fit(
    legacy: Any,
    splits: Splits,
    options: TrainOptions,
    *,
    probabilities: bool,
    description: str,
    callbacks: Sequence[Any] = (),
) -> None:
    """Trains a tf_keras classifier in place, with the optimizer, schedule and images that every training here has.

    Args:
        legacy: the model.
        splits: only the training split is used.
        options: how to train.
        probabilities: whether the model ends with a softmax.
        description: words before the progress bar.
        callbacks: those that TFMOT needs.

    Raises:
        TrainingError: the loss is not a number.
    """
    steps = splits.train.steps(options.batch_size)
    total = options.epochs * steps
    warmup = round(options.warmup * total)
    schedule = tf_keras().optimizers.schedules.CosineDecay(
        0.0 if warmup else options.learning_rate,
        max(1, total - warmup),
        warmup_target=options.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = tf_keras().optimizers.SGD(
        schedule, momentum=options.momentum, nesterov=options.momentum > 0, weight_decay=options.weight_decay or None
    )
    if options.weight_decay:
        optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta", "centroids"])
    loss = tf_keras().losses.CategoricalCrossentropy(
        from_logits=not probabilities, label_smoothing=options.label_smoothing
    )
    legacy.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"])
    dataset = splits.train.batches(
        options.batch_size,
        shuffle_seed=options.seed,
        epochs=options.epochs,
        augment=splits.augmentation.changed(options.augmentation) if options.augment else None,
    ).map(lambda images, labels: (images, tf.one_hot(labels, splits.num_classes)))
    watch = _Watch(description, total)
    tf.get_logger().addFilter(_expected)
    try:
        legacy.fit(
            dataset,
            epochs=options.epochs,
            steps_per_epoch=steps,
            callbacks=[*callbacks, tf_keras().callbacks.LambdaCallback(on_batch_end=watch.step)],
            shuffle=False,  # the data set is in its own reproducible order
            verbose=0,
        )
    finally:
        watch.close()
        tf.get_logger().removeFilter(_expected)


def _expected(record: logging.LogRecord) -> bool:
    """Lets all through but what is said of every clustered kernel, in whose place its clusters learn."""
    return "Gradients do not exist" not in record.getMessage()


def gives_probabilities(model: Any) -> bool:
    """Returns whether a Keras 3 model ends with a softmax."""
    graph = ChannelGraph.from_model(model)
    return graph.nodes[graph.outputs[0].node].gives_probabilities


class _Watch:
    """A progress bar that stops training whose loss is not a number."""

    def __init__(self, description: str, total: int) -> None:
        self._bar = meter(description, total=total)
        self._description = description

    def step(self, batch: int, logs: Any = None) -> None:
        """Moves the bar."""
        self._bar.update()
        loss = float((logs or {}).get("loss", 0.0)) if batch % _CHECK_EVERY == 0 else 0.0
        if not math.isfinite(loss):
            raise TrainingError(
                f"{self._description}: the loss is {loss} at step {batch}. Lower the learning rate "
                "(--tune_learning_rate), or look for broken images or labels."
            )

    def close(self) -> None:
        """Leaves the bar on the screen."""
        self._bar.close()
