"""The tables of `benchmarks.schemes`, from its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from benchmarks.schemes import Setting

# The float network after as many more epochs as a step of the schemes that train, in these schemes.
LONGER = {"fp32_longer": "fp32", "int8_longer": "int8"}
ENOUGH = 0.5  # points that int8 may lose before the table says why


def markdown(results: Sequence[dict[str, Any]], setting: Setting) -> str:
    """Returns the tables."""
    written = [row for row in results if "refused" not in row]
    train, tune = setting.train, setting.tune
    lines = [
        "# Every scheme on Fashion-MNIST",
        "",
        "Made by `python -m benchmarks.schemes`; the numbers behind it are in `schemes.json`.",
        "",
        "Accuracy in % on the test images, of the .tflite file itself; mean ± standard deviation where there are "
        "several seeds. *Loss* is float minus this file, in points, paired by seed. *Zipped* is gzip -9, as an app "
        "store ships it. Latency: one thread of this machine, the first seed; *of float* is the ratio to the float "
        f"file of the same network, which ran in turns. Networks: uniform widths, {train.epochs} epochs; schemes that "
        f"train: {tune.train.epochs} epochs a step more, sparsity {tune.sparsity:.0%}, {tune.clusters} clusters.",
    ]
    for network, budget in dict.fromkeys((row["network"], row["budget"]) for row in results):
        rows = [row for row in results if (row["network"], row["budget"]) == (network, budget)]
        model = rows[0]["model"]
        lines += ["", f"## {network}, {budget}x", ""]
        lines += [f"{model['macs'] / 1e6:.2f} M MACs ({model['macs_share']:.2f}x), {model['params']:,} parameters.", ""]
        lines += _table("Scheme|Seeds|Accuracy|Loss|Size (KiB)|Zipped (KiB)|Median (ms)|Of float", _scheme_rows(rows))
        lines += [f"\n{row['scheme']}: refused. {row['refused']}" for row in rows if "refused" in row]
        if missing := [name for name in setting.schemes if name not in {row["scheme"] for row in rows}]:
            lines += ["", f"Not measured: {', '.join(missing)}."]
        lines += ["", "Layers kept out of int8, the most sensitive first:", ""]
        lines += _table("In|Kept|Accuracy|Size (KiB)|Median (ms)|Of float", _mixed_rows(rows))
    lines += ["", "## Quantization after training and in training", ""]
    head = "Network|Seeds|Loss of int8|Loss of fp32_longer|Loss of int8_longer|Loss of int8_qat|QAT gains|95 % interval"
    lines += _table(head, _qat_rows(written))
    lines += ["", "*QAT gains*: int8_qat over int8_longer, which was trained as long, in points, paired by seed."]
    lines += ["", f"Files of int8 that lose more than {ENOUGH} points, and why:", "", *_whys(written)]
    lines += ["", "## Time of the steps of an export", ""]
    lines += ["Schemes that begin with the same steps of training share them; they count for the first one.", ""]
    lines += _table("Schemes|" + "|".join(_STEPS), _step_rows(written))
    return "\n".join(lines) + "\n"


_STEPS = ("train", "convert", "verify", "test", "latency")
# The 97.5 % quantile of Student's t for 1, 2, 3 and 4 degrees of freedom.
_T = (12.71, 4.30, 3.18, 2.78)


def _table(head: str, rows: Sequence[Sequence[str]]) -> list[str]:
    cells = head.split("|")
    return [f"| {' | '.join(row)} |" for row in (cells, ["---"] + ["---:"] * (len(cells) - 1), *rows)]


def _losses(rows: Sequence[dict[str, Any]], scheme: str) -> dict[Any, float]:
    """Network, budget and seed → points that the scheme loses against float."""
    found = {(r["network"], r["budget"], r["seed"], r["scheme"]): r["test_accuracy"] for r in rows if "kept" not in r}
    return {
        key[:3]: 100 * (found[(*key[:3], "fp32")] - accuracy) for key, accuracy in found.items() if key[3] == scheme
    }


def _scheme_rows(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    good = [row for row in rows if "refused" not in row and row["scheme"] != "mixed"]
    for scheme in dict.fromkeys(row["scheme"] for row in good):
        ours = [row for row in good if row["scheme"] == scheme]
        yield [
            scheme,
            str(len(ours)),
            _spread([100 * row["test_accuracy"] for row in ours]),
            _spread(list(_losses(good, scheme).values())),
            f"{np.mean([row['size_bytes'] for row in ours]) / 1024:.1f}",
            f"{np.mean([row['gzip_bytes'] for row in ours]) / 1024:.1f}",
            *_latency_cells(ours),
        ]


def _mixed_rows(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    for row in rows:
        if row["scheme"] == "mixed":
            size = f"{row['size_bytes'] / 1024:.1f}"
            yield [row["in"], str(row["kept"]), f"{100 * row['test_accuracy']:.2f}", size, *_latency_cells([row])]


def _latency_cells(rows: Sequence[dict[str, Any]]) -> list[str]:
    latency = next((row["latency"] for row in rows if "latency" in row), None)
    if latency is None:
        return ["–", "–"]
    mark = "" if latency["verdict"] == "OK" else f" ({latency['verdict']})"
    return [f"{latency['median_ms']:.3f}{mark}", f"{latency['ratio']:.2f}x"]


def _qat_rows(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    losses = [_losses(rows, scheme) for scheme in ("int8", *LONGER, "int8_qat")]
    for network, budget in dict.fromkeys(key[:2] for key in losses[0]):
        keys = [key for key in losses[0] if key[:2] == (network, budget) and all(key in one for one in losses)]
        if not keys:
            continue
        *_, longer, within = ([one[key] for key in keys] for one in losses)
        gains = np.subtract(longer, within)
        interval = "one seed"
        if len(gains) > 1:
            half = _T[min(len(gains) - 2, len(_T) - 1)] * gains.std(ddof=1) / np.sqrt(len(gains))
            interval = f"{gains.mean() - half:+.2f} to {gains.mean() + half:+.2f}"
        told = [_spread([one[key] for key in keys]) for one in losses]
        yield [f"{network}, {budget}x", str(len(keys)), *told, f"{gains.mean():+.2f}", interval]


def _whys(rows: Sequence[dict[str, Any]]) -> list[str]:
    found = []
    for row in rows:
        key = (row["network"], row["budget"], row["seed"])
        if row["scheme"] == "int8" and (loss := _losses(rows, "int8")[key]) > ENOUGH:
            same = f"{100 * row['agreement']['class_agreement']:.1f} % of the samples are the same class as in float"
            why = "; ".join([same, *row["worst_layers"]])
            found.append(f"* {row['network']}, {row['budget']}x, seed {row['seed']}: {loss:.2f} points. {why}.")
    return found or ["None."]


def _step_rows(rows: Sequence[dict[str, Any]]) -> Iterator[list[str]]:
    files_of = [row for row in rows if "seconds" in row and "latency" in row]
    for name, chosen in (
        ("without training", [row for row in files_of if row["training"] is None]),
        ("with training", [row for row in files_of if row["training"] is not None]),
    ):
        seconds = [
            sum({**row["seconds"], "latency": row["latency"]["seconds"]}[step] for row in chosen) for step in _STEPS
        ]
        if chosen:
            shares = [f"{100 * one / sum(seconds):.0f} % ({one / len(chosen):.1f} s)" for one in seconds]
            yield [f"{len(chosen)} {name}", *shares]


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f}" + (f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else "")
