"""`tfmeta prune`: removes the least important channels of a pretrained model, and writes what is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from tfmeta import data
from tfmeta.bin import option_flags
from tfmeta.export import SCHEMES
from tfmeta.importance import CRITERIA
from tfmeta.importance.ranking import RANKINGS
from tfmeta.latency.options import FINAL
from tfmeta.networks import spec
from tfmeta.stages.limits import Limit
from tfmeta.stages.prune import PruneOptions, prune

# Less than this share of the way from guessing to perfect answers says that something is wrong with the model.
_CLEAR = 0.1
# A share of the channels that differs from the one asked for by more than this is told.
_COARSE = 0.01

FLAGS = flags.FlagValues()
_PROJECT = option_flags.project(FLAGS, trains_net=False)
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.", required=True, flag_values=FLAGS)
_CRITERION = flags.DEFINE_enum(
    "criterion", PruneOptions.criterion, sorted(CRITERIA), "What tells how important a channel is.", flag_values=FLAGS
)
_RANKING = flags.DEFINE_enum(
    "ranking", PruneOptions.ranking, sorted(RANKINGS), "Which channels are compared.", flag_values=FLAGS
)
_RATIO = flags.DEFINE_float("ratio", None, "Share of the channels to keep.", flag_values=FLAGS)
_LIMITS = {
    objective: flags.DEFINE_string(
        name, None, f"Most {what}: an amount ({amount}) or a share of the full network (0.5x).", flag_values=FLAGS
    )
    for objective, name, what, amount in (
        ("macs", "macs", "multiply-adds", "41M"),
        ("params", "params", "parameters", "300k"),
        ("latency", "latency_ms", "milliseconds of the first --scheme's file, measured on --device", "12"),
    )
}
_DEVICE = option_flags.device(FLAGS)
_IMAGES = flags.DEFINE_integer("images", PruneOptions.images, "Images that criteria look at.", flag_values=FLAGS)
_CALIBRATION = flags.DEFINE_integer(
    "calibration_images",
    PruneOptions.calibration_images,
    "Training images for the batch-norm statistics of the pruned model; 0 leaves them.",
    flag_values=FLAGS,
)
_FINETUNE = flags.DEFINE_bool("finetune", False, "Train the pruned model.", flag_values=FLAGS)
_TRAINING = option_flags.train(FLAGS, "finetune_", "of fine-tuning")
_SCHEMES = flags.DEFINE_multi_enum(
    "scheme", list(SCHEMES), sorted(SCHEMES), "Quantization scheme; repeat it for several.", flag_values=FLAGS
)


def main(argv: Sequence[str]) -> None:
    """Prunes, then prints what was and what is."""
    project = _PROJECT()
    place, latency = _DEVICE(FINAL)
    options = PruneOptions(
        criterion=_CRITERION.value,
        ranking=_RANKING.value,
        ratio=_RATIO.value,
        limits=tuple(Limit(name, upper=flag.value) for name, flag in _LIMITS.items() if flag.value is not None),
        multiple_of=project.multiple_of,
        step_device=project.step_device,
        min_ratio=project.min_ratio,
        images=_IMAGES.value,
        calibration_images=_CALIBRATION.value,
        finetune=_TRAINING(project.seed) if _FINETUNE.value else None,
        schemes=tuple(_SCHEMES.value),
        place=place,
        latency=latency,
        seed=project.seed,
    )
    splits = data.load(project.dataset, project.data)
    built = spec.build(project.model, splits.image_shape, splits.num_classes, project.allow_custom_objects)
    if options.finetune is None:
        built.check_trained(project.model, project.data.input_range)
    else:  # what is trained afterwards may begin with random weights
        built.check_pixels(project.model, project.data.input_range)
    told = prune(built.model, splits, options, Path(_OUTPUT.value))
    for name in ("channels", "macs", "params"):
        before, after = told[name]
        print(f"{name:<14}{before:>14,} → {after:,} ({100 * after / before:.1f} %)")
    _tell_coarse(options, *told["channels"])
    before, after = told["test_accuracy"]
    print(f"test {splits.task.metric} {100 * before:>12.2f} % → {100 * after:.2f} %")
    if options.finetune is None:
        _tell_guesses(before, splits.num_classes, project.data.input_range)
    if "latency" in told:
        print(_latency_line(told["latency"]))
    for file in ("pruned.keras", *(file["file"] for file in told["files"])):
        print(Path(_OUTPUT.value) / file)


def _tell_guesses(accuracy: float, classes: int, input_range: str) -> None:
    """Prints where a model that was to bring trained weights seems to be without."""
    if accuracy < 1 / classes + _CLEAR * (1 - 1 / classes):
        print(
            f"The model hardly beats guessing ({100 / classes:.1f} %) before anything is pruned. Were its weights "
            f"trained on this data, with pixels in the range of --input_range={input_range}?"
        )


def _tell_coarse(options: PruneOptions, total: int, kept: int) -> None:
    """Prints what stands between the ratio that was asked for and the one that is."""
    if options.ratio is not None and abs(kept / total - options.ratio) > _COARSE:
        print(
            f"{100 * kept / total:.1f} % of the channels stay, not {100 * options.ratio:.1f} %: widths are multiples "
            f"of {options.multiple_of}, from {options.min_ratio} of the full width up. Lower "
            "--multiple_of or --min_ratio."
        )


def _latency_line(found: Mapping[str, Any]) -> str:
    """What was measured of the finished file, and whether it is what was asked for."""
    kept = "within" if found["within"] else "ABOVE"
    share = 100 * found["latency_ms"] / found["full_ms"]
    return (
        f"{'latency':<14}{found['full_ms']:>11.3f} ms → {found['latency_ms']:.3f} ms ({share:.1f} %), {kept} "
        f"the limit of {found['limit_ms']:.3f} ms: {found['file']} on {found['device']}, {found['num_runs']} runs, "
        f"{found['verdict']}; {len(found['search'])} structures measured on the way"
    )
