"""``MODEL_CARD.md``: what a bundle holds, for people; made from its manifest, so both say the same."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tfmeta.export.preprocessing import Preprocessing
from tfmeta.tasks import Task

_Z = 1.96  # of a 95 % interval
_NETWORKS = {
    "searched": "its channels were chosen by a search: {budget}",
    "random": "the best of as many random structures within the same limits",
    "uniform": "all widths by one factor within the same limits",
    "full": "nothing was pruned",
}
_OF_FRONT = "networks of the search's front, from the smallest to the largest: {budget}"


def model_card(manifest: Mapping[str, Any], preprocessing: Preprocessing) -> str:
    """Returns the card, Markdown with a front matter as Hugging Face reads it.

    Args:
        manifest: what `tfmeta.export.bundle.write_bundle` writes.
        preprocessing: what an app must do before and after.
    """
    origin, task = manifest["origin"], preprocessing.task
    sections = [
        _front(origin, task),
        f"# {origin['name']}\n\n{task.about.format(classes=len(preprocessing.labels))} for TFLite (LiteRT): "
        f"{origin['network']}, trained on {origin['data_set']}.\n\n" + _networks(manifest),
        "## Files\n\n" + _table(manifest, task),
        "## Before and after\n\n" + _use(preprocessing),
        "## In an app\n\n" + _app(manifest, preprocessing),
        "## Evidence\n\n" + _evidence(manifest, " of the pixels" if preprocessing.label_shape else ""),
        "## How it was made\n\n" + _made(manifest),
        f"## Limits\n\n{task.title} ({task.definition}) is that on the test split of the data set named above and says "
        "nothing of other pictures. Latency is that of the device named above. No check for bias between groups was "
        "made.",
    ]
    return "\n\n".join(sections) + "\n"


def _front(origin: Mapping[str, Any], task: Task) -> str:
    tags = [f"pipeline_tag: image-{task.name}", "tags: [tflite, litert, pruned, tfmeta]"]
    metrics = f"metrics: [{task.metric.lower().replace(' ', '_')}]"
    return "\n".join(["---", "library_name: tflite", *tags, f"datasets: [{_yaml(origin['data_set'])}]", metrics, "---"])


def _networks(manifest: Mapping[str, Any]) -> str:
    """What the networks are whose files the bundle holds, a line each."""
    found, budget = dict.fromkeys(file["model"] for file in manifest["files"]), manifest["origin"]["budget"]
    lines = [f"- `{name}`: {text.format(budget=budget)}" for name, text in _NETWORKS.items() if name in found]
    front = [f"`{name}`" for name in found if name not in _NETWORKS]
    return "\n".join(lines + ([f"- {', '.join(front)}: {_OF_FRONT.format(budget=budget)}"] if front else []))


def _table(manifest: Mapping[str, Any], task: Task) -> str:
    lines = [
        f"| file | scheme | test {task.metric} | size | latency p50 / p90 | loading + first inference | peak memory "
        "| runtime from | SHA-256 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for file in manifest["files"]:
        cells = (
            f"`{file['file']}`",
            file["scheme"],
            _accuracy(file, task),
            f"{file['size_bytes'] / 1024:,.1f} KiB",
            *_latency(file["latency"]),
            file["minimum_runtime"]["version"] or "unknown",
            f"`{file['sha256'][:16]}…`",
        )
        lines.append(f"| {' | '.join(cells)} |")
    lines += [f"\nNo {one['scheme']} file of {one['model']}: {one['reason']}" for one in manifest["refused"]]
    return "\n".join(lines)


def _accuracy(file: Mapping[str, Any], task: Task) -> str:
    accuracy, images = file["test_accuracy"], file["test_images"]
    if accuracy is None:
        return "not measured"
    margin = f" ± {100 * _Z * math.sqrt(accuracy * (1 - accuracy) / images):.2f}" if images and task.binomial else ""
    return f"{100 * accuracy:.2f}{margin} %"


def _latency(latency: Mapping[str, Any] | None) -> tuple[str, str, str]:
    """The cells for latency, start and memory."""
    if latency is None:
        return ("not measured",) * 3
    measured = latency["measurement"]
    runs, memory_mb = measured["num_runs"], measured["peak_memory_mb"]
    return (
        f"{latency['median_ms']:.3f} / {latency['p90_ms']:.3f} ms ({runs} runs, {latency['verdict']})",
        f"{measured['init_ms']:.3f} + {measured['first_inference_ms']:.3f} ms",
        "not told" if memory_mb is None else f"{memory_mb:.1f} MiB",
    )


def _use(preprocessing: Preprocessing) -> str:
    size = f"{preprocessing.height} × {preprocessing.width}, {preprocessing.color}"
    how = "stretched to that size" if preprocessing.fit == "resize" else "padded with black to that size"
    if preprocessing.pixel_scale is None:
        scaled = "Pixel values are those of the training data, which had a scale of its own."
    else:
        scale, offset = preprocessing.pixel_scale
        scaled = f"The network reads pixel × {scale:.8g} + {offset:.8g}, of a pixel from 0 to 255."
    if preprocessing.label_shape:
        scaled += " For each pixel of the image it answers with a score for each class; the highest is the answer."
    labels = ", ".join(preprocessing.labels[:20]) + (" …" if len(preprocessing.labels) > 20 else "")
    return (
        f"Images of {size}, {how}. {scaled} The same is in `preprocessing.json`, and inside each file as metadata "
        f"(`TFLITE_METADATA` and `tfmeta`). Classes, in the order of the outputs: {labels} (`labels.txt`)."
    )


def _app(manifest: Mapping[str, Any], preprocessing: Preprocessing) -> str:
    programs = "a Python program and a Kotlin class for each file"
    if not preprocessing.takes_pictures:
        programs = "a Python module for each file, which takes arrays that were prepared as in training"
    lines = [
        f"`snippets/` has {programs}. Take LiteRT 1.4 or later in new Android "
        "apps, whose libraries fit 16 KB pages; older runtimes down to the one in the table run the files too.",
        "",
        "| file | input | output |",
        "|---|---|---|",
    ]
    for file in manifest["files"]:
        ends = ("; ".join(_end(*one) for one in file[side].items()) for side in ("inputs", "outputs"))
        lines.append(f"| `{file['file']}` | {' | '.join(ends)} |")
    return "\n".join(lines)


def _end(name: str, tensor: Mapping[str, Any]) -> str:
    text = f"{name}: {tensor['dtype']} {tensor['shape']}"
    if tensor["quantization"] is None:
        return text
    scale, zero_point = tensor["quantization"]["scale"][0], tensor["quantization"]["zero_point"][0]
    return f"{text}, scale {scale:.6g}, zero point {zero_point}"


def _evidence(manifest: Mapping[str, Any], of: str) -> str:
    lines = [
        "Every file was run against the Keras network that it was converted from before it got its name. That is the "
        "float network, but for schemes that train: there it is what the training made of it, and the last column "
        "tells how near the file is to the float network before.",
        "",
        "| file | same class | largest error | mean error | on | same class as the float network |",
        "|---|---|---|---|---|---|",
    ]
    for file in manifest["files"]:
        found = file["agreement"]
        same, same_as_float = (
            "no classes" if one["class_agreement"] is None else f"{one['class_agreement']:.1%}{of}"
            for one in (found, file["float_agreement"])
        )
        errors = f"{found['max_abs_error']:.3g} | {found['mean_abs_error']:.3g} | {found['num_samples']} images"
        lines.append(f"| `{file['file']}` | {same} | {errors} | {same_as_float} |")
    return "\n".join([*lines, *_devices(manifest)])


def _devices(manifest: Mapping[str, Any]) -> list[str]:
    """Where the files were timed, and from what day on."""
    days: dict[str, str] = {}
    for file in manifest["files"]:
        measured = (file["latency"] or {}).get("measurement")
        if measured:
            days.setdefault(_device(measured), measured["started_at"][:10])
    told = "; ".join(f"{device}, {day}" for device, day in days.items())
    return ["", f"Latency: {told}. Peak memory is what loading and the first inference add."] if told else []


def _device(measured: Mapping[str, Any]) -> str:
    device, options = measured["device"], measured["options"]
    runtime = f"{device.get('runtime', '')} {device.get('runtime_version', '')}".strip()
    return f"{device.get('name', 'device')}, {runtime}, {options.get('threads', 1)} thread(s)"


def _made(manifest: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in manifest["versions"].items())
    search = ", ".join(f"{name}: {value}" for name, value in manifest["origin"]["search"].items() if _plain(value))
    lines = [f"Search: {search}." if search else "", f"Versions: {versions}."]
    command = manifest["command"]
    return "\n\n".join([line for line in lines if line] + ([f"```sh\n{command}\n```"] if command else []))


def _plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and value != ""


def _yaml(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
