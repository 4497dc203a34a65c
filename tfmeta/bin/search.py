"""`tfmeta search`: searches structures within a budget."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tfmeta.bin import option_flags, shared_flags
from tfmeta.latency.options import LatencyOptions
from tfmeta.project import Project
from tfmeta.stages.latency_told import counted, warnings
from tfmeta.stages.search import search
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_NAME = option_flags.name(FLAGS)
_DEVICE = option_flags.device(FLAGS)
_SEARCH = option_flags.search(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Searches, then prints what was found beside its controls."""
    options = _SEARCH(_NAME.value, *_DEVICE(LatencyOptions()))
    with Workdir(_WORKDIR.value) as workdir:
        found = search(Project(workdir), options)
    print(f"Budget: {found['budget']}")
    for name, entry in found["structures"].items():
        values = entry["values"]
        time = ""
        if "latency" in values:
            time = f"   {values['latency']:.3f} ms"
        elif "predicted_latency_ms" in values:
            deviation = values["predicted_latency_std_ms"]
            time = f"   {values['predicted_latency_ms']:.3f} ± {deviation:.3f} ms predicted, not measured"
        print(
            f"{name:<10} {values['macs'] / 1e6:>10.3f} M MACs {values['params'] / 1e3:>10.1f} k params   "
            f"{found['metric']} on the search split {100 * values['accuracy']:.2f} %{time}"
        )
    if "latency" in found["structures"]["full"]["values"]:
        print(f"ms: medians of at least {options.latency.num_runs} runs, held against those of the full network")
    latency = found.get("latency", {})
    if latency.get("source") == "hybrid":
        print(f"Latency: {counted(latency)}.")
    for warning in warnings(latency):
        print(warning)
    if found["note"]:
        print(found["note"])
