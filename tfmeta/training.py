"""Training and evaluation: PruningNets and plain models, with distillation, resumable after any interruption.

Plain models train through a PruningNet with ordinary kernels and one structure, their own. It computes the same
function with fused batch normalisation, which makes a training step on CPU faster than Keras' layers do
(`benchmarks/speed.py`), and the statistics at the end are exact instead of a moving average.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta import tasks
from tfmeta.distillation import Distillation
from tfmeta.errors import TrainingError, UserError
from tfmeta.graph.answers import gives_probabilities
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.lazy import keras, tf
from tfmeta.progress import bar

if TYPE_CHECKING:
    from tfmeta.data.splits import Split, Splits
    from tfmeta.supernet.pruning_net import PruningNet


@dataclass(frozen=True)
class TrainOptions:
    """How to train.

    Attributes:
        epochs: passes over the training images.
        batch_size: images a step.
        learning_rate: the peak; it rises linearly over the first `warmup` share of the steps, then falls to 0 as a
            cosine.
        warmup: share of the steps, 0 to 1.
        momentum: of stochastic gradient descent (Nesterov).
        weight_decay: of kernels; biases and batch norm are left alone.
        label_smoothing: share of the target that is spread over all classes.
        augment: whether to change the images at random as the data set recommends.
        augmentation: changes to that recommendation, as in `Augmentation.changed`: ("pad_crop=4", "cutout=8").
        seed: of initial weights, order and augmentation.
        calibration_images: training images that batch-norm statistics are taken from.
        distill_weight: share of the loss that follows the teacher, when there is one.
        temperature: softens the teacher's answers.
    """

    epochs: int = 20
    batch_size: int = 128
    learning_rate: float = 0.1
    warmup: float = 0.05
    momentum: float = 0.9
    weight_decay: float = 4e-5
    label_smoothing: float = 0.1
    augment: bool = True
    augmentation: tuple[str, ...] = ()
    seed: int = 0
    calibration_images: int = 2000
    distill_weight: float = 0.5
    temperature: float = 2.0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "calibration_images", "learning_rate", "temperature"):
            if not getattr(self, name) > 0:
                raise UserError(f"Expected {name} above 0, received {getattr(self, name)}.")
        if not self.weight_decay >= 0:
            raise UserError(f"Expected weight_decay of 0 or more, received {self.weight_decay}.")
        for name in ("warmup", "momentum", "label_smoothing", "distill_weight"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"Expected {name} from 0 to 1, received {getattr(self, name)}.")


def set_seed(seed: int) -> None:
    """Seeds what Keras draws initial weights and dropout from."""
    keras.utils.set_random_seed(seed)


def fit(
    net: PruningNet,
    splits: Splits,
    options: TrainOptions,
    *,
    checkpoint: Path | None = None,
    logs: Path | None = None,
    description: str = "train",
    teacher: Callable[[Any], Any] | None = None,
) -> None:
    """Trains ``net`` in place; goes on from ``checkpoint`` where one is.

    Args:
        net: the PruningNet.
        splits: only the training split is used.
        options: how to train.
        checkpoint: file (`*.weights.h5`) that is written whole after every epoch and read at the start. Training that
            was killed resumes at the epoch it was in and ends with the weights that it would have had.
        logs: folder for TensorBoard.
        description: words before the progress bar.
        teacher: images to logits, for distillation.

    Raises:
        TrainingError: the loss is not a number, or the checkpoint is damaged or of another network.
    """
    from tfmeta.callbacks import Checkpoint, Progress

    steps = splits.train.steps(options.batch_size)
    _compile(net, splits, options, steps, teacher)
    first = _resume(net, checkpoint)
    if first >= options.epochs:
        return
    callbacks = [Progress(description, options.epochs, steps, first)]
    if checkpoint is not None:
        callbacks.append(Checkpoint(checkpoint))
    if logs is not None:
        callbacks.append(keras.callbacks.TensorBoard(str(logs)))
    dataset = splits.train.batches(
        options.batch_size,
        shuffle_seed=options.seed,
        first_epoch=first,
        epochs=options.epochs - first,
        augment=splits.augmentation.changed(options.augmentation) if options.augment else None,
    )
    net.fit(
        dataset,
        epochs=options.epochs,
        initial_epoch=first,
        steps_per_epoch=steps,
        callbacks=callbacks,
        shuffle=False,  # the data set is in its own reproducible order
        verbose=0,
    )


def train_plain(model: Any, splits: Splits, options: TrainOptions, **places: Any) -> Any:
    """Trains a plain Keras model and returns the trained one, with exact batch-norm statistics.

    Args:
        model: a Functional or Sequential model, with the weights to start from. It is not changed.
        splits: the data; only the training split is used.
        options: how to train.
        **places: `checkpoint`, `logs`, `description` and `teacher` as for `fit`.

    Raises:
        TrainingError: as for `fit`.
        GraphError: the model cannot be read.
    """
    from tfmeta.supernet.evaluation import Evaluator

    net = plain_net(model)
    fit(net, splits, options, **places)
    images, _ = splits.train.sample(options.calibration_images, options.seed)
    return Evaluator(net).plain_model(net.space.full(), batches_of(images, options.batch_size))


def plain_net(model: Any) -> PruningNet:
    """Returns a PruningNet of one structure that computes what ``model`` computes, with copies of its weights."""
    from tfmeta.supernet.options import PruningNetOptions
    from tfmeta.supernet.pruning_net import PruningNet

    graph = ChannelGraph.from_model(model)
    net = PruningNet(graph, SearchSpace.from_graph(graph, ratios=(100,)), PruningNetOptions(encodings={}))
    net.load_shared(model)
    return net


def batches_of(images: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Returns ``images`` in pieces of ``batch_size``."""
    return [images[start : start + batch_size] for start in range(0, len(images), batch_size)]


def evaluate(model: Any, split: Split, batch_size: int | None = None, description: str = "Testing") -> float:
    """Returns how good a plain Keras model is on ``split``, 0 to 1, by the metric of its task."""
    outputs = forward(model)
    batch_size = batch_size or tasks.at_a_time(split.image_shape, split.label_shape)
    batches = bar(split.batches(batch_size), description, unit="batch")
    return tasks.score((labels, outputs(images)) for images, labels in batches)


def forward(model: Any) -> Callable[[Any], Any]:
    """Returns a function of images `[B, H, W, C]` float32, for any B, that gives what ``model`` answers after training.

    It is traced: TensorFlow then frees the output of a layer when its last reader is done. A Keras model that is called
    by itself keeps all of them to the end: 70 MB an image for MobileNetV2 at 224 x 224, and not 15.

    Args:
        model: of Keras or tf_keras, with one image input. It must be kept as long as the function is.
    """

    @tf.function(input_signature=[tf.TensorSpec([None, *model.inputs[0].shape[1:]], tf.float32)], autograph=False)
    def traced(images: Any) -> Any:
        return model(images, training=False)

    # The concrete function is taken at once: TensorFlow warns of retracing when many models are tested in one process.
    return traced.get_concrete_function()


def answers(model: Any, images: np.ndarray) -> Iterator[Any]:
    """Yields what ``model`` answers to ``images`` `[N, H, W, C]` float32, for a few of them at a time.

    How many follows from their size: 20 of 224 x 224, at most 250.

    Args:
        model: as for `forward`.
        images: as many as there are.

    Yields:
        `[B, ...]` for each batch in turn; a list of such for a model with several outputs.
    """
    outputs = forward(model)
    for part in batches_of(images, tasks.at_a_time(images.shape[1:3])):
        yield tf.nest.map_structure(np.asarray, outputs(tf.constant(part, tf.float32)))


def load_weights(net: PruningNet, path: Path) -> None:
    """Loads weights, and the optimizer's state where ``net`` is compiled.

    Raises:
        TrainingError: the file is damaged or of another network.
    """
    try:
        with warnings.catch_warnings():
            # Keras would go on with the weights alone, and training without the momentum that it had.
            warnings.filterwarnings("error", "Skipping variable loading for optimizer")
            net.load_weights(path)
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, UserWarning) as error:
        raise TrainingError(
            f"Checkpoint {path} is damaged or belongs to another network ({str(error).splitlines()[0]}). "
            "Delete it to train anew, or restore it from a copy."
        ) from error


def _compile(net: PruningNet, splits: Splits, options: TrainOptions, steps: int, teacher: Any) -> None:
    total = options.epochs * steps
    warmup = round(options.warmup * total)
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else options.learning_rate,
        max(1, total - warmup),
        warmup_target=options.learning_rate if warmup else None,
        warmup_steps=warmup,
    )
    optimizer = keras.optimizers.SGD(
        schedule, momentum=options.momentum, nesterov=options.momentum > 0, weight_decay=options.weight_decay or None
    )
    if options.weight_decay:
        # Whole names: the weights of generators, their biases too, make kernels and do decay, as in the paper.
        optimizer.exclude_from_weight_decay(var_names=["^bias$", "^gamma$", "^beta$"])
    if net.dtype_policy.compute_dtype == "float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    optimizer.build(net.trainable_variables)
    distillation = Distillation(teacher, options.distill_weight, options.temperature) if teacher else None
    net.distil(distillation)
    net.compile(
        optimizer=optimizer,
        loss=_loss(options.label_smoothing, gives_probabilities(net.graph)),
        metrics=[splits.task.while_training(splits.num_classes)],
    )


def _loss(smoothing: float, probabilities: bool) -> Callable[[Any, Any], Any]:
    def loss(labels: Any, outputs: Any) -> Any:
        # Keras may give labels an axis more.
        labels = tf.reshape(tf.cast(labels, tf.int32), tf.shape(outputs)[:-1])
        targets = tf.one_hot(labels, outputs.shape[-1])
        return keras.losses.categorical_crossentropy(
            targets, outputs, from_logits=not probabilities, label_smoothing=smoothing
        )

    return loss


def _resume(net: PruningNet, checkpoint: Path | None) -> int:
    """Loads the checkpoint, if there is one, and returns the epoch to go on with."""
    net.epochs.assign(0)
    if checkpoint is not None and checkpoint.exists():
        load_weights(net, checkpoint)
    return int(net.epochs)
