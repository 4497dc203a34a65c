"""``tflite-bench VERB --flags``, the same as ``python -m tflite_bench VERB --flags``.

Only the module of the verb is imported, and LiteRT only when a model is measured.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import cast

from tflite_bench.bin import VERBS, app


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the verb that ``arguments`` (by default those of the process) begin with.

    Returns:
        The exit code, see `tflite_bench.bin.app`.
    """
    verb, *rest = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    if verb in app.HELP or verb == "help":
        print(_overview())
        return app.DONE
    if verb not in VERBS:
        app.tell("tflite-bench", f"{_unknown(verb)}\nAll verbs: tflite-bench --help")
        return app.BAD_FLAGS
    try:
        module = importlib.import_module(f"tflite_bench.bin.{verb}")
    except KeyboardInterrupt:
        app.tell("tflite-bench", "Stopped.")
        return app.STOPPED
    return app.run(cast(app.Verb, module), f"tflite-bench {verb}", rest, VERBS[verb])


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = [f"  {verb:{width}}  {description}" for verb, description in VERBS.items()]
    return "\n".join(
        [
            "tflite-bench VERB MODEL.tflite ... --flag=value ...",
            "Measures the latency of TFLite models, and how far it can be trusted.",
            "",
            "Verbs:",
            *verbs,
            "",
            "The flags of a verb: tflite-bench VERB --help",
        ]
    )


def _unknown(verb: str) -> str:
    if verb.startswith("-"):
        return f"Expected a verb before the flags. Received: {verb!r}."
    near = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"Expected a verb among: {', '.join(sorted(VERBS))}. Received: {verb!r}.{hint}"


if __name__ == "__main__":
    sys.exit(main())
