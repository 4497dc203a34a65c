"""How each number of a report was made, in words: splits, counts, seeds, devices, options, commands."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tfmeta.project import Project
from tfmeta.stages.pareto import PARETO


def how_made(
    project: Project,
    name: str,
    init: str,
    found: Mapping[str, Any],
    run: Mapping[str, Any],
    manifest: Mapping[str, Any],
    front: Mapping[str, Any],
    mixed: Sequence[Mapping[str, Any]],
) -> tuple[tuple[str, str], ...]:
    """Returns (what, how that number was made) in the order to tell it.

    Args:
        project: of the report.
        name: of the search.
        init: which retrained networks.
        found: the result of the search.
        run: what its run in the store began with.
        manifest: that of the export, with empty lists where there is none.
        front: likewise that of the front.
        mixed: what was tried in mixed precision, network by network.
    """
    config = project.workdir.config
    asked = config.get(f"search {name}", {})
    how = [*_evaluations(project, asked, found), *_searched_latency(asked, run)]
    how += _retraining(project, config.get(f"retrain {name} {init}"))
    how += _latencies([*manifest["files"], *front["files"]])
    how += _operators([*manifest["files"], *front["files"]])
    if front["files"]:
        epochs = config.get(f"pareto {name}", {}).get("epochs", 0)
        trained = f"trained for {epochs} epochs from" if epochs else "with"
        how.append(("Files of the front", f"networks of the search's front, {trained} their generated weights"))
    if mixed:
        judged = mixed[0]["options"]["judge_images"]
        split = min(judged, project.splits.search.size)
        how.append(
            (
                "Mixed precision",
                f"layers ranked by what int8 in them alone adds to the loss on {split:,} images of the search split; "
                "each file timed in turns with the float file",
            )
        )
    how += [(f"No {file['scheme']} file of {file['model']}", file["reason"]) for file in manifest["refused"]]
    how += [(f"The {control} control is missing", reason) for control, reason in found["missing"].items()]
    if found["note"]:
        how.append(("Search", found["note"]))
    for what, made, kind in (("Files", manifest, init), ("Files of the front", front, PARETO)):
        if made.get("command"):
            how.append((f"{what}: written by", made["command"]))
        folder = project.workdir.export(name, kind)
        gone = [file["file"] for file in made["files"] if not (folder / file["file"]).exists()]
        if gone:
            how.append((f"{what}: no longer there", ", ".join(gone)))
    return tuple(how)


def options_told(config: Mapping[str, Any], name: str, init: str) -> tuple[tuple[str, str], ...]:
    """Returns (stage, its options in words) of all stages that this report is about, from ``config.json``."""
    sections = ("project", "train", f"search {name}", f"retrain {name} {init}", f"export {name} {init}")
    sections += (f"pareto {name}", f"export {name} pareto")
    sections += tuple(one for one in config if one.startswith(f"mixed {name} {init} "))
    return tuple((section, ", ".join(_told(config[section]))) for section in sections if section in config)


def latency_label(files: Sequence[Mapping[str, Any]]) -> str:
    """Returns where the files were timed, in a word or two."""
    measured = next((one for file in files if (one := _measured(file)) is not None), None)
    if measured is None:
        return "not measured"
    device = measured["device"]
    # The name of a processor is long, and says less than that it is not a phone.
    place = "host" if device["kind"] == "host" else device["name"]
    return f"{place}, {_threads(measured)}"


def device_told(measured: Mapping[str, Any]) -> str:
    """Returns device and options of a measurement in words."""
    device, options = measured["device"], measured["options"]
    words = [
        f"{device['name']} ({device['arch']}, {device['cores']} cores, {device['os_version']})",
        f"{device['runtime']} {device['runtime_version']}",
        _threads(measured),
        f"cores: {options['pin']}" if options["pin"] != "none" else "",
        f"delegate: {options['delegate']}",
        device["mode"],
        f"fingerprint {device['fingerprint']}",
    ]
    return ", ".join(word for word in words if word)


def _evaluations(project: Project, asked: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    images, task = project.splits.search.size, project.splits.task
    yield (
        f"{task.title} with generated weights",
        f"{task.definition}, on the search split ({images:,} images carved from the training images, never trained "
        f"on), batch-norm statistics recalibrated for each structure; seed of the PruningNet: {project.options.seed}",
    )
    seeded = f"; searcher {asked['searcher']}, seed {asked['seed']}" if asked else ""
    yield "Evaluations", f"{found['evaluations']} structures by the search, as many by the random control{seeded}"
    yield "MACs and parameters", "closed form; MACs are multiply-adds of convolutions and dense layers"
    yield "Bytes of weights", "closed form: parameters in float32, before quantization"


def _searched_latency(asked: Mapping[str, Any], run: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    measured = run.get("depends_on", {}).get("latency")
    if asked and measured:
        options = asked["latency"]
        yield (
            "Latency of a structure in the search",
            f"that of its {options['scheme']} file with random weights, timed in turns with the full network: the "
            f"ratio of both times the full network's first median; on {asked['place']['device']}, fingerprint "
            f"{measured['device']}, at least {options['num_runs']} inferences and {options['min_secs']:g} s",
        )


def _retraining(project: Project, retrained: Mapping[str, Any] | None) -> Iterator[tuple[str, str]]:
    if not retrained:
        return
    splits, train, task = project.splits, retrained["train"], project.splits.task
    taught = ", taught by the full network" if retrained["distill"] else ""
    margins = " The margins of chance are those of the test images." if task.binomial else ""
    yield (
        f"{task.title} after retraining",
        f"{task.definition}, on the test split ({splits.test.size:,} images, read by export and report only); every "
        f"network trained alike: {train['epochs']} epochs on {splits.train.size:,} images, init {retrained['init']}, "
        f"seed {train['seed']}{taught}.{margins} Another seed of training moves every {task.metric} as well",
    )


def _latencies(files: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    measured = [(file, one) for file in files if (one := _measured(file)) is not None]
    devices = dict.fromkeys(device_told(one) for _, one in measured)
    if devices:
        yield (
            "Latency",
            "median and 90th percentile of one inference, each file measured in turns with one of them; on "
            + "; and on ".join(devices),
        )
    # A verdict is of file and reference, so it may have another reason than the file's own measurement.
    for file, _ in measured:
        if file["latency"]["verdict"] != "OK":
            yield f"Latency of {file['file']}: {file['latency']['verdict']}", file["latency"]["reason"]


def _operators(files: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    told = [one for file in files if file["latency"] and (one := file["latency"].get("operators")) is not None]
    runs = sorted({one["num_runs"] for one in told if "reason" not in one})
    if runs:
        inferences = f"{runs[0]:,}" if len(runs) == 1 else f"{runs[0]:,} to {runs[-1]:,}"
        yield (
            "Time of each operator",
            f"averages over {inferences} inferences of a run of its own, after the latency; telling them slows a model "
            "down, so they do not add up to it",
        )
    for reason in dict.fromkeys(one["reason"] for one in told if "reason" in one):
        yield "No times of operators", reason


def _measured(file: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The `tflite_bench.Measurement` of a file as plain data, or None."""
    found = file["latency"]
    return None if found is None else found["measurement"]


def _threads(measured: Mapping[str, Any]) -> str:
    threads = measured["options"]["threads"]
    return f"{threads} thread{'s' if threads > 1 else ''}"


def _told(values: Mapping[str, Any], before: str = "") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from _told(value, f"{before}{key}.")
        else:
            yield f"{before}{key} {value if isinstance(value, str) else json.dumps(value)}"
