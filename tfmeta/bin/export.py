"""`tfmeta export`: writes verified TFLite files and their manifest."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tfmeta.bin import option_flags, shared_flags
from tfmeta.bin.app import command_line
from tfmeta.latency.options import FINAL
from tfmeta.project import Project
from tfmeta.stages.export import export
from tfmeta.workdir import Workdir

FLAGS = flags.FlagValues()
_WORKDIR = shared_flags.workdir(FLAGS)
_NAME = option_flags.name(FLAGS)
_INIT = option_flags.init(FLAGS)
_DEVICE = option_flags.device(FLAGS)
_EXPORT = option_flags.export(FLAGS)


def main(argv: Sequence[str]) -> None:
    """Exports, then prints one line a file."""
    options = _EXPORT(_NAME.value, _INIT.value, *_DEVICE(FINAL))
    with Workdir(_WORKDIR.value) as workdir:
        manifest = export(Project(workdir), options, command_line(FLAGS, "export"))
    for file in manifest["files"]:
        latency = file["latency"]
        print(
            f"{file['file']:<24} {file['size_bytes'] / 1024:>9.1f} KiB   "
            f"test accuracy {100 * file['test_accuracy']:.2f} %   "
            f"{latency['median_ms']:.3f} ms (p90 {latency['p90_ms']:.3f}, {latency['verdict']})"
        )
    print(f"Manifest: {workdir.export(_NAME.value, _INIT.value) / 'manifest.json'}")
