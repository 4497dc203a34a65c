"""`tfmeta search`: searches structures within a budget."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tfmeta.bin import option_flags, shared_flags
from tfmeta.latency.options import LatencyOptions
from tfmeta.project import Project
from tfmeta.stages.search import search
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_NAME = option_flags.name(FLAGS)
_DEVICE = option_flags.device(FLAGS)
_SEARCH = option_flags.search(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Searches, then prints what was found beside its controls."""
    with Workdir(_WORKDIR.value) as workdir:
        project = Project(workdir)
        found = search(project, _SEARCH(_NAME.value, *_DEVICE(LatencyOptions())))
    print(f"Budget: {found['budget']}")
    for name, entry in found["structures"].items():
        values = entry["values"]
        measured = f"   {values['latency']:.3f} ms" if "latency" in values else ""
        print(
            f"{name:<10} {values['macs'] / 1e6:>10.3f} M MACs {values['params'] / 1e3:>10.1f} k params   "
            f"{project.splits.task.metric} on the search split {100 * values['accuracy']:.2f} %{measured}"
        )
    if found["note"]:
        print(found["note"])
