"""The flags of each stage's options. Several verbs share them.

Each function defines flags in the ``FLAGS`` of a verb and returns a function that gives the options when the flags are
parsed. Defaults are those of the option classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from absl import flags

from tfmeta.bin import data_flags, shared_flags
from tfmeta.data import DATASETS
from tfmeta.errors import UserError
from tfmeta.export import SCHEMES
from tfmeta.importance import CRITERIA
from tfmeta.latency import flags as device_flags
from tfmeta.latency.options import SOURCES, LatencyOptions, LatencySource, Place
from tfmeta.latency.staircase import read_staircase
from tfmeta.networks import NETWORKS
from tfmeta.project import ProjectOptions
from tfmeta.search import SEARCHERS
from tfmeta.stages.limits import Limit
from tfmeta.stages.retrain import INITS, RetrainOptions
from tfmeta.stages.search import ROWS, SearchOptions
from tfmeta.supernet.options import PruningNetOptions
from tfmeta.supernet.sampling import SAMPLERS
from tfmeta.training import TrainOptions
from tfmeta.workdir import MAIN

# Flag → (objective, what it is called in the help).
_LIMITED = (
    ("macs", "multiply-adds: an amount (41M) or a share of the full network (0.5x)"),
    ("params", "parameters: an amount (300k) or a share (0.5x)"),
    ("size", "bytes of float32 weights: an amount (1.2M) or a share (0.5x)"),
    ("latency", "milliseconds of one inference, measured on --device, or a share (0.5x)"),
)


def project(values: flags.FlagValues, trains_net: bool = True) -> Callable[[], ProjectOptions]:
    """Defines what a project is about: model, data and space, and the PruningNet where one is trained."""
    text = (
        f"Network to prune: {', '.join(sorted(NETWORKS))} (with arguments: 'mobilenet_v1?width=0.25&blocks=8'), "
        "metapruning:NAME for the paper's network and space, keras.applications:NAME for one of Keras, module:function "
        "for one of your own, or the path of a .keras file."
    )
    model = flags.DEFINE_string("model", ProjectOptions.model, text, flag_values=values)
    allowed = shared_flags.allow_custom_objects(values)
    names = f"{', '.join(sorted(DATASETS))}, image_folder:DIR, or module:function for your own."
    dataset = flags.DEFINE_string("dataset", ProjectOptions.dataset, f"Data set: {names}", flag_values=values)
    data = data_flags.define(values)
    multiple_of = shared_flags.multiple_of(values, ProjectOptions.multiple_of)
    text = "File of `tflite-bench staircase --output`: widths are multiples of that device's step."
    staircase = flags.DEFINE_string("staircase", None, text, flag_values=values)
    min_ratio = flags.DEFINE_float(
        "min_ratio", ProjectOptions.min_ratio, "Smallest width as a share of the full one.", flag_values=values
    )
    net = _net(values) if trains_net else dict
    seed = flags.DEFINE_integer("seed", ProjectOptions.seed, "Seed of everything random.", flag_values=values)

    def options() -> ProjectOptions:
        if staircase.value is not None and values["multiple_of"].present:
            raise UserError("Expected either --multiple_of or --staircase. Received both.")
        step = None if staircase.value is None else read_staircase(staircase.value)
        return ProjectOptions(
            model=model.value,
            allow_custom_objects=tuple(allowed.value),
            dataset=dataset.value,
            data=data(seed.value),
            multiple_of=multiple_of.value if step is None else step.multiple_of,
            step_device=None if step is None else step.device,
            min_ratio=min_ratio.value,
            seed=seed.value,
            **net(),
        )

    return options


def _net(values: flags.FlagValues) -> Callable[[], dict[str, Any]]:
    hidden = flags.DEFINE_integer(
        "hidden",
        None,
        f"Hidden units of each weight generator ({PruningNetOptions.hidden}, or the paper's with metapruning:NAME).",
        flag_values=values,
    )
    sampler = flags.DEFINE_enum(
        "sampler",
        None,
        sorted(SAMPLERS),
        f"How structures are drawn in training ({PruningNetOptions.sampler}; uniform with metapruning:NAME).",
        flag_values=values,
    )
    warm_start = flags.DEFINE_enum(
        "warm_start",
        None,
        sorted(CRITERIA),
        "Begin with the model's own weights, its channels sorted by this criterion of importance.",
        flag_values=values,
    )
    return lambda: {"hidden": hidden.value, "sampler": sampler.value, "warm_start": warm_start.value}


def train(values: flags.FlagValues, prefix: str = "", what: str = "") -> Callable[[int], TrainOptions]:
    """Defines how to train; ``prefix`` sets the flags of one training apart from another's."""
    default, note = TrainOptions, f" ({what})" if what else ""

    def integer(name: str, text: str) -> flags.FlagHolder[int]:
        return flags.DEFINE_integer(prefix + name, getattr(default, name), text + note, flag_values=values)

    def number(name: str, text: str) -> flags.FlagHolder[float]:
        return flags.DEFINE_float(prefix + name, getattr(default, name), text + note, flag_values=values)

    epochs = integer("epochs", "Passes over the training images.")
    batch_size = integer("batch_size", "Images a step.")
    learning_rate = number("learning_rate", "Peak of the learning rate.")
    warmup = number("warmup", "Share of the steps in which it rises.")
    momentum = number("momentum", "Momentum.")
    weight_decay = number("weight_decay", "Weight decay of kernels.")
    label_smoothing = number("label_smoothing", "Label smoothing.")
    augment = flags.DEFINE_bool(
        prefix + "augment", default.augment, f"Change training images at random.{note}", flag_values=values
    )

    augmentation = flags.DEFINE_list(
        prefix + "augmentation",
        [],
        f"Changes to what the data set recommends: flip=1,pad_crop=4,cutout=8,brightness=0.2,contrast=0.2,"
        f"min_crop_area=0.25.{note}",
        flag_values=values,
    )

    def options(seed: int) -> TrainOptions:
        return TrainOptions(
            warmup=warmup.value,
            momentum=momentum.value,
            augmentation=tuple(augmentation.value),
            epochs=epochs.value,
            batch_size=batch_size.value,
            learning_rate=learning_rate.value,
            weight_decay=weight_decay.value,
            label_smoothing=label_smoothing.value,
            augment=augment.value,
            seed=seed,
        )

    return options


def name(values: flags.FlagValues) -> flags.FlagHolder[str]:
    """Defines ``--name``."""
    text = "Name of the search, to keep several budgets in one work directory."
    return flags.DEFINE_string("name", MAIN, text, flag_values=values)


def init(values: flags.FlagValues) -> flags.FlagHolder[str]:
    """Defines ``--init``."""
    text = "Retrained from new weights, or from those that the PruningNet generates."
    return flags.DEFINE_enum("init", RetrainOptions.init, INITS, text, flag_values=values)


def device(values: flags.FlagValues) -> Callable[[LatencyOptions], tuple[Place, LatencyOptions]]:
    """Defines ``--device``, how to reach it and how latency is measured there.

    The function that is returned takes the defaults of the stage and gives them with what was typed.
    """
    device_flags.define_device(values, SearchOptions.place.device)
    device_flags.define_place(values)
    texts = {
        "num_runs": "Least number of timed inferences a file.",
        "rounds": "Turns that a file and the reference take.",
        "retries": "How often a measurement that is not OK is repeated.",
    }
    typed = {name: flags.DEFINE_integer(name, None, text, flag_values=values) for name, text in texts.items()}
    for name, text in {
        "min_secs": "Least seconds that a file is timed.",
        "warmup_secs": "Seconds that a file runs before it is timed.",
    }.items():
        typed[name] = flags.DEFINE_float(name, None, text, flag_values=values)

    def options(default: LatencyOptions) -> tuple[Place, LatencyOptions]:
        changes = {name: holder.value for name, holder in typed.items() if holder.value is not None}
        latency = dataclasses.replace(default, **device_flags.place(values), **changes)
        return Place(values["device"].value, device_flags.device_options(values)), latency

    return options


def search(values: flags.FlagValues, own_seed: bool = True) -> Callable[..., SearchOptions]:
    """Defines the budget and the searcher."""
    limits = []
    for objective, text in _LIMITED:
        unit = "_ms" if objective == "latency" else ""
        low, high = (
            flags.DEFINE_string(f"{side}_{objective}{unit}", None, f"{word} {text}.", flag_values=values)
            for side, word in (("min", "Least"), ("max", "Most"))
        )
        limits.append((objective, low, high))
    default = SearchOptions
    searcher = flags.DEFINE_enum("searcher", default.searcher, sorted(SEARCHERS), "Searcher.", flag_values=values)
    generations = flags.DEFINE_integer(
        "generations", default.generations, "How many times structures are proposed.", flag_values=values
    )
    population = flags.DEFINE_integer("population", default.population, "Structures a generation.", flag_values=values)
    calibration = flags.DEFINE_integer(
        "calibration_images",
        default.calibration_images,
        "Training images for the batch-norm statistics of each structure.",
        flag_values=values,
    )
    scheme, source = latency_scheme(values), _latency_source(values)
    seed = flags.DEFINE_integer("seed", default.seed, "Seed of the search.", flag_values=values) if own_seed else None

    def options(name: str, place: Place, latency: LatencyOptions, seed_value: int | None = None) -> SearchOptions:
        typed = [Limit(objective, low.value, high.value) for objective, low, high in limits]
        given = tuple(limit for limit in typed if limit.lower is not None or limit.upper is not None)
        return SearchOptions(
            limits=given or default().limits,
            searcher=searcher.value,
            generations=generations.value,
            population=population.value,
            calibration_images=calibration.value,
            place=place,
            latency=dataclasses.replace(latency, scheme=scheme.value),
            source=source(),
            seed=seed.value if seed is not None else seed_value or 0,
            name=name,
        )

    return options


def latency_scheme(values: flags.FlagValues) -> flags.FlagHolder[str]:
    """Defines ``--latency_scheme``."""
    text = "Quantization of the files that latency is about."
    return flags.DEFINE_enum("latency_scheme", LatencyOptions.scheme, sorted(SCHEMES), text, flag_values=values)


def _latency_source(values: flags.FlagValues) -> Callable[[], LatencySource]:
    default = LatencySource
    how = flags.DEFINE_enum(
        "latency",
        default.how,
        SOURCES,
        "Whether a limit on latency is held by measuring every structure, by predicting, or by measuring those that "
        "may be the best or are predicted to miss it by little.",
        flag_values=values,
    )
    table = flags.DEFINE_string(
        "latency_table",
        None,
        "Table to predict with (that of the work directory; a hybrid search without one begins by measuring).",
        flag_values=values,
    )
    other = flags.DEFINE_bool(
        "allow_other_device_table",
        default.allow_other_device,
        "Use a table of another device, runtime or options; results say so.",
        flag_values=values,
    )
    return lambda: LatencySource(how.value, table.value, other.value)


def retrain(values: flags.FlagValues) -> Callable[[TrainOptions, str, str], RetrainOptions]:
    """Defines which networks are retrained, and whether the full one teaches them."""
    distill = flags.DEFINE_bool(
        "distill", RetrainOptions.distill, "The full network teaches the smaller ones.", flag_values=values
    )
    weight = flags.DEFINE_float(
        "distill_weight", TrainOptions.distill_weight, "Share of the loss that follows the teacher.", flag_values=values
    )
    temperature = flags.DEFINE_float(
        "temperature", TrainOptions.temperature, "Softens the teacher's answers.", flag_values=values
    )
    rows = flags.DEFINE_list("rows", list(ROWS), f"Which networks: {', '.join(ROWS)}.", flag_values=values)

    def options(training: TrainOptions, init: str, name: str) -> RetrainOptions:
        taught = dataclasses.replace(training, distill_weight=weight.value, temperature=temperature.value)
        return RetrainOptions(taught, init, distill.value, tuple(rows.value), name)

    return options
