"""`tfmeta check`: tells whether a .tflite file is fit to ship; the exit code is for build servers."""

from __future__ import annotations

import json
from collections.abc import Sequence

from absl import flags

from tfmeta.bin import app, option_flags
from tfmeta.export.ship_check import FAIL, ShipOptions, read_labels
from tfmeta.latency.options import LatencyOptions
from tfmeta.stages.check import DEVICE, CheckOptions, check

ARGUMENTS = "MODEL.tflite ..."
FLAGS = flags.FlagValues()
_MIN_RUNTIME = flags.DEFINE_string(
    "min_runtime", None, "Oldest TFLite runtime among the app's users, for example 2.16.", flag_values=FLAGS
)
_MAX_SIZE = flags.DEFINE_float("max_size_mb", None, "Largest size of the file, in 10^6 bytes.", flag_values=FLAGS)
_LABELS = flags.DEFINE_string("labels", None, "Text file with the app's labels, one a line.", flag_values=FLAGS)
_DEVICE = option_flags.device(FLAGS)
_FULL = flags.DEFINE_bool(
    "require_full_delegation",
    CheckOptions.full_delegation,
    "Fail when the delegate leaves operators out, or the device does not tell.",
    flag_values=FLAGS,
)
_REFERENCE = flags.DEFINE_string("reference", None, "A float .tflite file that it must agree with.", flag_values=FLAGS)
_SAMPLES = flags.DEFINE_string(
    "samples",
    None,
    "An .npy file of images [N, H, W, C] float32, prepared for the network, to compare on.",
    flag_values=FLAGS,
)
_AGREEMENT = flags.DEFINE_float(
    "min_class_agreement",
    None,
    "Share of answers, 0 to 1, that the file and the reference must give the same class (0.9 where they are classes).",
    flag_values=FLAGS,
)
_ERROR = flags.DEFINE_float(
    "max_relative_error",
    None,
    "Largest difference of an answer, divided by the reference's largest answer (0.2 where they are no classes).",
    flag_values=FLAGS,
)
_JSON = flags.DEFINE_bool("json", False, "Print one JSON array, an object a file.", flag_values=FLAGS)


def main(argv: Sequence[str]) -> int:
    """Prints what was found of each file.

    Returns:
        0 when every file is fit to ship, 3 when only the device could not be used, else 1.
    """
    labels = None if _LABELS.value is None else len(read_labels(_LABELS.value))
    place, latency = _DEVICE(LatencyOptions())
    options = CheckOptions(
        ShipOptions(_MIN_RUNTIME.value, _MAX_SIZE.value, labels),
        place,
        latency,
        _FULL.value,
        _REFERENCE.value,
        _SAMPLES.value,
        _AGREEMENT.value,
        _ERROR.value,
    )
    reports = [check(path, options) for path in argv[1:]]
    if _JSON.value:
        print(json.dumps([report.to_json() for report in reports], indent=2))
    else:
        print("\n\n".join(str(report) for report in reports))
    failed = {finding.check for report in reports for finding in report.findings if finding.level == FAIL}
    if failed == {DEVICE}:
        return app.DEVICE_ERROR
    return app.USER_ERROR if failed else app.DONE
