"""What ``benchmark_model`` tells of a delegate: the proof that it ran, and how much of the model.

A delegate that cannot be had is no error to the program: it goes on with the CPU and exits with 0. So nothing but these
lines tells whose times they are.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from tflite_bench.bench_options import BenchOptions
from tflite_bench.errors import DeviceError, ModelFileError
from tflite_bench.types import Delegation

# How the classic tool calls a delegate, and how the runtime calls its kernels: TfLiteGpuDelegateV2, LITERT_CL.
_NAMES = {
    "xnnpack": ("XNNPACK", re.compile("xnnpack", re.IGNORECASE)),
    "gpu": ("GPU", re.compile("gpu|^LITERT_(?:CL|GL|METAL|VULKAN)", re.IGNORECASE)),
    "nnapi": ("NNAPI", re.compile("nnapi", re.IGNORECASE)),
}
_COUNT = r"(\d{1,9})"
_APPLIED = re.compile(
    r"Explicitly applied (\w+) delegate, and the model graph will be (completely|partially) executed by the delegate"
    rf"(?: w/ {_COUNT} delegate kernels)?\.",
    re.ASCII,
)
_NOT_APPLIED = re.compile(
    r"Though (\w+) delegate is explicitly applied, the model graph will not be executed by the delegate\."
)
# Old runtimes tell neither the number of all nodes nor the place: "for the whole graph", "for subgraph 0 (main)".
_REPLACING = re.compile(
    rf"Replacing {_COUNT} (?:out of {_COUNT} )?node\(s\) with delegate \(([^()]*)\) node, "
    rf"yielding {_COUNT} partitions(.*)",
    re.ASCII,
)
_UNSUPPORTED = re.compile(r"(\w+) acceleration is unsupported on this platform\.")


def delegation(texts: Sequence[str], options: BenchOptions) -> Delegation | None:
    """Returns what the asked-for delegate took over, None where the CPU was asked for and nothing is told of XNNPACK.

    Args:
        texts: of the lines of a successful run.
        options: what was asked for.

    Raises:
        ModelFileError: all of the model was to run on the delegate, and some of it does not.
        DeviceError: the delegate is not there, or nothing proves that it ran.
    """
    if options.delegate == "none":
        return None
    name, kernel = _NAMES[options.delegate]
    found = _counted(texts, options.delegate, kernel)
    for text in texts:
        if (match := _APPLIED.fullmatch(text)) and match.group(1) == name:
            complete = match.group(2) == "completely"
            partitions = int(match.group(3)) if match.group(3) else 1 if complete else None
            found = found or Delegation(options.delegate, complete, partitions=partitions)
        elif (match := _NOT_APPLIED.fullmatch(text)) and match.group(1) == name:
            found = Delegation(options.delegate, complete=False, nodes_delegated=0, partitions=0)
    _require_proof(found, options, texts)
    return found


def unsupported(texts: Sequence[str]) -> str | None:
    """Returns the program's own words where it says that it was built without a delegate."""
    return next((text for text in texts if _UNSUPPORTED.fullmatch(text)), None)


def _counted(texts: Sequence[str], delegate: str, kernel: re.Pattern[str]) -> Delegation | None:
    # A subgraph each; what is told again of one replaces what was told before.
    places: dict[str, tuple[int, int | None, int]] = {}
    for text in texts:
        match = _REPLACING.fullmatch(text)
        if match and kernel.search(match.group(3)):
            nodes, total, _, partitions, place = match.groups()
            places[place] = (int(nodes), None if total is None else int(total), int(partitions))
    totals = [total for _, total, _ in places.values() if total is not None]
    if not places or len(totals) < len(places):
        return None  # an old runtime, which does not say of how many
    nodes_delegated = sum(nodes for nodes, _, _ in places.values())
    partitions_all = sum(partitions for _, _, partitions in places.values())
    return Delegation(delegate, nodes_delegated == sum(totals), nodes_delegated, sum(totals), partitions_all)


def _require_proof(found: Delegation | None, options: BenchOptions, texts: Sequence[str]) -> None:
    name = options.delegate
    if name != "xnnpack" and (found is None or found.nodes_delegated == 0):
        if reason := unsupported(texts):
            why = f"benchmark_model says: {reason}"
        elif found is not None:
            why = "The delegate took none of the model's operators."
        else:
            why = "Nothing in the output of benchmark_model says that the delegate ran."
        raise DeviceError(
            f"Expected times of the delegate {name!r}. Received those of the CPU. {why} "
            "Use another delegate, or a benchmark_model that is built with it."
        )
    if options.require_full_delegation and (found is None or not found.complete):
        share = "" if found is None or found.share is None else f" {found.share:.0%} of the operators."
        raise ModelFileError(
            f"Expected all of the model on the delegate {name!r}. Received{share or ' less.'} "
            "Replace the other operators, or measure without require_full_delegation."
        )
