"""Holds all 40 networks of keras.applications against what tfmeta promises, and writes docs/coverage.md.

    make coverage
    PYTHONPATH=. python benchmarks/coverage.py --networks=MobileNetV2,NASNetLarge --again

Takes hours on two cores, most of them for converting the largest networks. Every answer is kept in coverage.json beside
this file as soon as it is there, so the command can be stopped at any moment and goes on where it stopped. `--again`
asks anew.
"""

from __future__ import annotations

import json
import multiprocessing
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from absl import app, flags

from tests import applications
from tfmeta import files

_NETWORKS = flags.DEFINE_list("networks", [], "Networks to check; all by default.")
_CHECKS = flags.DEFINE_list("checks", [], "Checks to make: graph, pruning, pruning_net, conversion; all by default.")
_AGAIN = flags.DEFINE_bool("again", False, "Check also what is known already.")

ANSWERS = Path(__file__).parent / "coverage.json"
TABLE = Path(__file__).parent.parent / "docs" / "coverage.md"

_INTRODUCTION = """\
# Coverage of keras.applications

Written by `make coverage`; do not edit. All networks of keras.applications with 10 classes, at 32 × 32 pixels or the
smallest size that they take.

* **groups**: channel groups whose width can be chosen, of all. **prunable**: share of the parameters that shrink with
  some width. **pinned**: channels that must stay, besides the 3 of the image and the 10 classes.
* **MACs**: of the full network in millions, and the share that is left with half of every width.
* **error**: largest relative difference between a pruned network and the original with the dropped channels zeroed,
  over random selections of channels, random weights and random batch-norm statistics. A normalisation over the
  channels runs over those that are kept. **cost**: whether MACs and parameters in closed form are those that a count
  over the layers of the pruned network finds.
* **hypernetwork**: hidden units with which the PruningNet was built here and trained for one step, and what its weights
  take in training. **TFLite**: size of the converted network at a quarter of every width, and the relative error of
  what it computes against its Keras model.

| network | params | groups | prunable | pinned | MACs | half | error | cost | hypernetwork | TFLite |
|---|---:|---:|---:|---|---:|---:|---:|---|---|---|"""

CHECKS: dict[str, Callable[[str], dict[str, Any]]] = {
    "graph": applications.describe,
    "pruning": applications.check_pruning,
    "pruning_net": applications.check_pruning_net,
    "conversion": lambda name: _converted(name),
}


def main(argv: Sequence[str]) -> None:
    """Makes all checks that are not known yet, check by check, and writes the table after each."""
    answers = json.loads(ANSWERS.read_text(encoding="utf-8")) if ANSWERS.exists() else {}
    for check in _CHECKS.value or CHECKS:
        for name in _NETWORKS.value or applications.names():
            row = answers.setdefault(name, {})
            if check in row and "failed" not in row[check] and not _AGAIN.value:
                continue
            begin = time.perf_counter()
            try:
                row[check] = _alone(check, name)
            except Exception as error:  # told in the table; the other networks are checked all the same
                row[check] = {"failed": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}
            seconds = round(time.perf_counter() - begin, 1)
            print(f"{check} of {name}: {row[check]} ({seconds} s)", flush=True)
            files.write_json(ANSWERS, answers)
            files.write_text(TABLE, table(answers))
    files.write_text(TABLE, table(answers))


def _alone(check: str, name: str) -> dict[str, Any]:
    """Makes a check in a process of its own, which has all the memory and gives it back at the end."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_answer, check, name).result()


def _answer(check: str, name: str) -> dict[str, Any]:
    return CHECKS[check](name)


def _converted(name: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return applications.check_conversion(name, Path(folder))


def table(answers: dict[str, dict[str, Any]]) -> str:
    """Returns docs/coverage.md."""
    rows = (_row(name, answers.get(name, {})) for name in applications.names())
    return "\n".join([_INTRODUCTION, *rows]) + "\n"


def _row(name: str, row: dict[str, Any]) -> str:
    def cell(check: str, text: Callable[[dict[str, Any]], str]) -> str:
        found = row.get(check)
        return "" if found is None else found.get("failed") or text(found)

    cells = [
        cell("graph", lambda r: f"{r['params'] / 1e6:.1f} M"),
        cell("graph", lambda r: f"{r['searchable']} of {r['groups']}"),
        cell("graph", lambda r: f"{100 * r['prunable']:.1f} %"),
        cell("graph", lambda r: _pins(r["pinned"])),
        cell("graph", lambda r: f"{r['macs'] / 1e6:.1f}"),
        cell("graph", lambda r: f"{100 * r['half_macs'] / r['macs']:.0f} %"),
        cell("pruning", lambda r: f"{r['error']:.0e} ({r['precision']})"),
        cell("pruning", lambda r: "exact" if r["cost_exact"] else "wrong"),
        cell("pruning_net", lambda r: f"{r['hidden']} units, {r['training_bytes'] / 2**30:.1f} GiB"),
        cell("conversion", lambda r: f"{r['tflite_bytes'] / 2**20:.1f} MiB, {r['error']:.0e}"),
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _pins(pinned: dict[str, int]) -> str:
    others = {
        why: count for why, count in pinned.items() if why != "model output" and not why.startswith("model input")
    }
    return ", ".join(f"{count}: {why}" for why, count in others.items()) or "–"


if __name__ == "__main__":
    app.run(main)
