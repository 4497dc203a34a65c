"""``tfmeta VERB --flags``, the same as ``python -m tfmeta VERB --flags``.

Only the module of the verb is imported, and TensorFlow only when the verb needs it.
"""

from __future__ import annotations

import difflib
import importlib
import sys
from collections.abc import Sequence

from tfmeta.bin import VERBS, app


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the verb that ``arguments`` (by default those of the process) begin with.

    Returns:
        The exit code, see `tfmeta.bin.app`.
    """
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    return app.guard(lambda: _dispatch(*given), "tfmeta")


def _dispatch(verb: str, *rest: str) -> int:
    if verb in ("-h", "-help", "--help", "help"):
        print(_overview())
        return app.DONE
    if verb not in VERBS:
        print(f"tfmeta: {_unknown(verb)}\nAll verbs: tfmeta --help", file=sys.stderr)
        return app.BAD_FLAGS
    module = importlib.import_module(f"tfmeta.bin.{verb}")
    return app.run(module, f"tfmeta {verb}", rest, VERBS[verb])


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = [f"  {verb:{width}}  {description}" for verb, description in VERBS.items()]
    return "\n".join(
        [
            "tfmeta VERB --flag=value ...",
            "Searches the channel widths of a Keras CNN and ships the result as TFLite.",
            "",
            "Verbs:",
            *verbs,
            "",
            "The flags of a verb: tfmeta VERB --help",
        ]
    )


def _unknown(verb: str) -> str:
    if verb.startswith("-"):
        return f"Expected a verb before the flags, received {verb!r}."
    near = difflib.get_close_matches(verb, VERBS, n=1, cutoff=0.5)
    return f"Unknown verb {verb!r}." + (f" Did you mean {near[0]!r}?" if near else "")


if __name__ == "__main__":
    sys.exit(main())
