"""The lines that ``benchmark_model`` prints, of all its versions, read into numbers and checked against each other.

Both programs of that name print a line "Running benchmark for ..." and a ``count=`` line for the warm-up, then the same
for the timed inferences. At the end each repeats some of the numbers in a form of its own, which tells a whole output
from one that was cut off or mixed with another.
"""

from __future__ import annotations

import dataclasses
import re

from tflite_bench.benchmark_model.count_line import INT, NUMBER, Stats, near, read_count_line, shown
from tflite_bench.errors import OutputError

TFLITE = "tflite"  # the classic tool: https://ai.google.dev/edge/litert/models/measurement
LITERT = "litert"  # LiteRT 2.x's, on the CompiledModel API

_US_PER_MS = 1e3
_ROUNDED_MS = 0.0062  # LiteRT's prints two decimals; the deviation was rounded to 0.001 before
# What logcat puts before a line in its formats brief, time and threadtime; then the severity; then LiteRT's place.
_PREFIX = re.compile(
    r"(?:(?:[\d-]{5,10} [\d:.]+ +)?(?:\d+ +\d+ +)?([VDIWEF])[/ ](?:tflite|litert) *(?:\( *\d+\) *)?: )?"
    r"(?:(VERBOSE|INFO|WARN|WARNING|ERROR|FATAL): )?(?:\[[\w./-]+:\d+\] )?",
    re.ASCII,
)
# Old versions tell no greatest time (before TensorFlow 2.2) or no least one; a dry run prints -1.
_HEADER = re.compile(
    rf"Running benchmark for (?:at least )?{INT} iterations(?: and at least (?:-1|{NUMBER}) seconds)?"
    rf"(?: but terminate if exceeding {NUMBER} seconds)?[.:]?",
    re.ASCII,
)
# What is printed at most once, by what it tells.
_ONCE = {
    what: re.compile(pattern, re.ASCII)
    for what, pattern in {
        "beginning": r"STARTING!",
        "initialization time": rf"Initialized session in {NUMBER}ms\.?",
        "timings at the end": rf"Inference timings in us: Init: {INT}, First inference: {INT}, "
        rf"Warmup \(avg\): {NUMBER}, Inference \(avg\): {NUMBER}",
        # TensorFlow 1.x to 2.1
        "average timings": rf"Average inference timings in us: Warmup: {NUMBER}, Init: {INT}, [\w ]{{1,20}}: {NUMBER}",
        "footprint": rf"Memory footprint delta from the start of the tool \(MB\): init={NUMBER} overall={NUMBER}",
        "peak footprint": rf"Peak memory footprint \(MB\): init={NUMBER} overall={NUMBER}",
        "resident set": rf"\[Overall\] - Memory usage: max resident set size = {NUMBER} MB, .*",
        "results": r"=+ BENCHMARK RESULTS =+",
        "model initialization": rf"Model initialization: +{NUMBER} ms",
        "first warm-up": rf"Warmup \(first\): +{NUMBER} ms",
        "warm-up": rf"Warmup \(avg\): +{NUMBER} ms \({INT} runs\)",
        "mean": rf"Inference \(avg\): +{NUMBER} ms \({INT} runs\)",
        "minimum": rf"Inference \(min\): +{NUMBER} ms",
        "maximum": rf"Inference \(max\): +{NUMBER} ms",
        "deviation": rf"Inference \(std\): +{NUMBER}",
        "overall footprint": rf"Overall footprint: +{NUMBER} MB",
        "saved result": r"Saved benchmark result to: .*",
    }.items()
}
_MEMORY = ("footprint", "peak footprint", "resident set", "overall footprint")
_LITERT_SIGNS = ("benchmark_litert_model.cc:", "benchmark_litert_model.h:", "BENCHMARK RESULTS =")
_TFLITE_SIGNS = ("Graph: [", "Loaded model ", "Failed to load model ", "Inference timings in us: ")
_WARNINGS = ("W", "E", "F", "WARN", "WARNING", "ERROR", "FATAL")

_Once = dict[str, tuple[str, ...]]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What a part of the run said it would do; None where an old tool does not say."""

    num_runs: int
    min_secs: float | None
    max_secs: float | None


@dataclasses.dataclass(frozen=True)
class Lines:
    """What one whole output says.

    Attributes:
        flavour: `TFLITE` or `LITERT`.
        warmup_asked, timed_asked: what the two parts were to do.
        warmup, timed: their statistics, None where there was no inference.
        init_ms: loading the model, building the interpreter and allocating its tensors.
        memory_mb: how far the resident memory rose, in units of 2**20 bytes, or None where it was not told.
        saved: the result file was written.
        texts: all lines, without what stands before their texts.
        warnings: those that warn of something or tell an error.
    """

    flavour: str
    warmup_asked: Asked
    timed_asked: Asked
    warmup: Stats | None
    timed: Stats | None
    init_ms: float
    memory_mb: float | None
    saved: bool
    texts: tuple[str, ...]
    warnings: tuple[str, ...]


def texts_of(stdout: str, stderr: str) -> tuple[list[str], list[str]]:
    """Returns the texts of all lines of both streams, and of those that warn of something or tell an error."""
    texts, warnings = [], []
    # Not str.splitlines: it would also split at characters that a model's names may hold.
    for line in f"{stdout}\n{stderr}".split("\n"):
        prefix = _PREFIX.match(line)
        text = line[prefix.end() if prefix else 0 :].strip(" \r")  # old phones end lines with CR LF
        texts.append(text)
        if prefix and not {*prefix.groups()}.isdisjoint(_WARNINGS):
            warnings.append(text)
    return texts, warnings


def whole_lines(stream: str) -> str:
    """Returns ``stream`` without a last line that does not end: its last number may be cut off."""
    return stream[: stream.rfind("\n") + 1]


def flavour_of(stdout: str, stderr: str) -> str | None:
    """Returns which of the two programs printed this, also when it failed; None where nothing tells."""
    text = stdout + "\n" + stderr
    if any(sign in text for sign in _LITERT_SIGNS):
        return LITERT
    return TFLITE if any(sign in text for sign in _TFLITE_SIGNS) else None


def read_lines(stdout: str, stderr: str) -> Lines:
    """Returns what the output of one successful run says.

    Raises:
        OutputError: a number is missing, is there twice, cannot be read, or contradicts another one.
    """
    parts: list[tuple[Asked, Stats | None]] = []
    asked: Asked | None = None
    once: _Once = {}
    texts, warnings = texts_of(whole_lines(stdout), whole_lines(stderr))
    for text in texts:
        if text.startswith("Running benchmark for"):
            _require_one_run(asked is None and len(parts) < 2, text)
            asked = _asked(text)
        elif text.startswith("count="):
            _require_one_run(asked is not None, text)
            if asked is not None:
                parts.append((asked, read_count_line(text)))
            asked = None
        elif asked is not None and "count=" in text:
            raise OutputError(f"Expected 'count=...' on a line of its own. Received: {shown(text)}.")
        else:
            _add_once(once, text)
    if len(parts) != 2:
        raise OutputError(
            "Expected the statistics of the warm-up and of the timed inferences. "
            f"Received {len(parts)} of the 2: the output is cut off, or is not benchmark_model's."
        )
    lines = Lines(
        flavour=LITERT if "results" in once else TFLITE,
        warmup_asked=parts[0][0],
        timed_asked=parts[1][0],
        warmup=parts[0][1],
        timed=parts[1][1],
        init_ms=float(_required(once, "initialization time")[0]),
        memory_mb=next((float(once[what][-1]) for what in _MEMORY if what in once), None),
        saved="saved result" in once,
        texts=tuple(texts),
        warnings=tuple(warnings),
    )
    _check_end(lines, once)
    return lines


def _require_one_run(good: bool, text: str) -> None:
    if not good:
        raise OutputError(
            "Expected one warm-up and one timed part. Received more, or in another order: two outputs are mixed, or "
            f"this is another tool, such as benchmark_model_performance_options. It goes wrong at: {shown(text)}."
        )


def _asked(text: str) -> Asked:
    match = _HEADER.fullmatch(text)
    if match is None:
        raise OutputError(f"Expected 'Running benchmark for at least N iterations ...'. Received: {shown(text)}.")
    num_runs, min_secs, max_secs = match.groups()
    return Asked(int(num_runs), *(None if value is None else float(value) for value in (min_secs, max_secs)))


def _add_once(once: _Once, text: str) -> None:
    for what, pattern in _ONCE.items():
        if match := pattern.fullmatch(text):
            _require_one_run(what not in once, text)
            once[what] = match.groups()


def _required(once: _Once, what: str) -> tuple[str, ...]:
    if what not in once:
        raise OutputError(f"Expected a line with the {what}. Received none: the output is cut off or garbled.")
    return once[what]


def _check_end(lines: Lines, once: _Once) -> None:
    """Compares the numbers with what the program repeated of them at its end."""
    if lines.flavour == LITERT:
        _require_one_run("timings at the end" not in once, "Inference timings in us: ...")
        pairs = _litert_pairs(lines, once)
    else:
        pairs = _tflite_pairs(lines, once)
    tolerance = _ROUNDED_MS if lines.flavour == LITERT else 0.0
    for what, repeated, value in pairs:
        if not near(repeated, value, tolerance):
            raise OutputError(
                f"Expected the same {what} twice. Received {value:g} and {repeated:g}: the output contradicts itself."
            )


def _tflite_pairs(lines: Lines, once: _Once) -> list[tuple[str, float, float]]:
    warmup, timed = lines.warmup, lines.timed
    pairs = []
    if "average timings" in once:
        warmup_avg, init, avg = map(float, once["average timings"])
    else:
        init, first, warmup_avg, avg = map(float, _required(once, "timings at the end"))
        pairs = [("first inference (us)", first, warmup.first_us if warmup else 0)]
    return [
        *pairs,
        ("initialization (us)", init, lines.init_ms * _US_PER_MS),
        ("mean of the warm-up (us)", warmup_avg, warmup.avg_us if warmup else 0),
        ("mean (us)", avg, timed.avg_us if timed else 0),
    ]


def _litert_pairs(lines: Lines, once: _Once) -> list[tuple[str, float, float]]:
    warmup, timed = lines.warmup, lines.timed
    (init,), (first,) = _required(once, "model initialization"), _required(once, "first warm-up")
    (warmup_avg, warmup_count), (avg, count) = _required(once, "warm-up"), _required(once, "mean")
    pairs = [
        ("initialization (ms)", init, lines.init_ms),
        ("first inference (ms)", first, warmup.first_us / _US_PER_MS if warmup else 0),
        ("mean of the warm-up (ms)", warmup_avg, warmup.avg_us / _US_PER_MS if warmup else 0),
        ("number of warm-up inferences", warmup_count, warmup.count if warmup else 0),
        ("mean (ms)", avg, timed.avg_us / _US_PER_MS if timed else 0),
        ("number of inferences", count, timed.count if timed else 0),
    ]
    if timed:
        extremes = {"minimum": timed.min_us, "maximum": timed.max_us, "deviation": timed.std_us}
        pairs += [(f"{what} (ms)", _required(once, what)[0], us / _US_PER_MS) for what, us in extremes.items()]
    return [(what, float(repeated), value) for what, repeated, value in pairs]
