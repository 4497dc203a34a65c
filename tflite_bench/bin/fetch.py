"""``tflite-bench fetch``: puts an official ``benchmark_model`` into the cache."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from absl import flags

from tflite_bench.benchmark_model import fetch
from tflite_bench.bin import screen
from tflite_bench.messages import tell

FLAGS = flags.FlagValues()
USAGE = "--abi=arm64-v8a [--flag=value ...]"

flags.DEFINE_enum("abi", "arm64-v8a", fetch.TARGETS, "What it shall run on.", flag_values=FLAGS)
flags.DEFINE_enum(
    "flavour", fetch.FLAVOURS[0], fetch.FLAVOURS, "TFLite's program, or LiteRT 2.x's of that name.", flag_values=FLAGS
)
flags.DEFINE_string("url", None, "Where to get it, instead of the official address.", flag_values=FLAGS)
flags.DEFINE_string("sha256", None, "The hash that it must have.", flag_values=FLAGS)
flags.DEFINE_string("from_file", None, "A file that was downloaded otherwise.", flag_values=FLAGS)
flags.DEFINE_bool("again", False, "Download it also where it is in the cache.", flag_values=FLAGS)
flags.DEFINE_bool("json", False, "Print JSON and nothing else.", flag_values=FLAGS)


def main(paths: Sequence[str]) -> None:
    """Fetches one executable and prints where it is, and what."""
    if paths:
        raise flags.Error(f"Expected no paths. Received: {', '.join(paths)}.")
    if FLAGS["from_file"].value and FLAGS["url"].value:
        raise flags.Error("Expected --from_file or --url. Received both.")
    found = _found()
    if FLAGS["json"].value:
        screen.print_json({**dataclasses.asdict(found), "path": str(found.path)})
        return
    print(f"{found.path}\n  {found.flavour}, for {found.target}\n  SHA-256 {found.sha256}")
    print(f"  from {found.url}\n  on {found.date}; this hash is checked at every use")


def _found() -> fetch.Fetched:
    target, flavour, sha256 = FLAGS["abi"].value, FLAGS["flavour"].value, FLAGS["sha256"].value
    if FLAGS["from_file"].value:
        return fetch.take_file(FLAGS["from_file"].value, target, flavour, sha256=sha256)
    asked_anew = FLAGS["again"].value or FLAGS["url"].value or sha256
    if not asked_anew:
        there = fetch.cached(target, flavour)
        if there is not None:
            tell("It is in the cache; --again downloads it anew.")
            return there
    return fetch.fetch(target, flavour, url=FLAGS["url"].value, sha256=sha256)
