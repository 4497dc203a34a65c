"""Outputs of the genuine programs (trimmed, in ``outputs/``), and outputs of the same form with chosen times."""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Sequence

from tests.phone import bench_text
from tflite_bench.benchmark_model.lines import LITERT, TFLITE

FOLDER = pathlib.Path(__file__).parent / "outputs"
_FORM = re.compile(
    r"\$ (?P<command>.*)\n# exit code: (?P<code>\d+)\n# ---- stdout.*? ----\n(?P<stdout>.*?)"
    r"(?:# ---- stderr ----\n(?P<stderr>.*))?",
    re.DOTALL,
)


@dataclasses.dataclass(frozen=True)
class Captured:
    """One run of a program."""

    command: str
    exit_code: int
    stdout: str
    stderr: str


def captured(name: str) -> Captured:
    """Returns the run in ``outputs/NAME.txt``."""
    match = _FORM.fullmatch((FOLDER / f"{name}.txt").read_text())
    assert match is not None, name
    return Captured(match["command"], int(match["code"]), match["stdout"], match["stderr"] or "")


def all_names() -> list[str]:
    """Returns the names of all captured runs."""
    return sorted(path.stem for path in FOLDER.glob("*.txt") if path.stem != "15b_opprof_csv_file_content")


def output(
    times_us: Sequence[int],
    warmup_us: Sequence[int],
    *,
    flavour: str = TFLITE,
    num_runs: int = 50,
    min_secs: float = 1.0,
    max_secs: float = 150.0,
    init_us: int = 20_000,
    percentiles: bool = True,
    extra: Sequence[str] = (),
    saved: bool = False,
) -> tuple[str, str]:
    """Returns stdout and stderr of a run that took these times."""
    begin = ["STARTING!", "Log parameter values verbosely: [0]"]
    if flavour == TFLITE:
        begin += ["Graph: [m.tflite]", "Signature to run: []", "Loaded model m.tflite"]
    lines = [
        *(f"INFO: {line}" for line in begin),
        *extra,
        "INFO: The input model file size (MB): 13.9233",
        f"INFO: Initialized session in {bench_text.number(init_us / 1e3)}ms.",
        f"INFO: {bench_text.running_line(1, 0.5, max_secs)}",
        f"INFO: {bench_text.count_line(warmup_us, percentiles)}",
        "",
        f"INFO: {bench_text.running_line(num_runs, min_secs, max_secs)}",
        f"INFO: {bench_text.count_line(times_us, percentiles)}",
        "",
    ]
    save = ["INFO: Saving benchmark result to: r.pb", "INFO: Saved benchmark result to: r.pb"] if saved else []
    if flavour == TFLITE:
        lines += [f"INFO: {line}" for line in bench_text.summary_lines(init_us, warmup_us, times_us)] + save
        return "\n".join([*lines, ""]), "INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\n"
    end = bench_text.litert_lines(init_us, warmup_us, times_us, 13_923_300, None)
    return "\n".join([*lines, ""]), "\n".join([*(f"INFO: {line}" for line in end), *save, ""])


def result_of(times_us: Sequence[int], warmup_us: Sequence[int], init_us: int = 20_000) -> bytes:
    """Returns the result file of that run."""
    return bench_text.result_file(init_us, warmup_us, times_us, 13_923_300, None)


FLAVOURS = (TFLITE, LITERT)
