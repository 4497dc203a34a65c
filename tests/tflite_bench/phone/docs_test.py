"""docs/phone.md tells of messages, flags and commands that there are."""

from __future__ import annotations

import importlib
import pathlib
import re

import pytest

from tflite_bench.bin import VERBS
from tflite_bench.types import Verdict

ROOT = pathlib.Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs/phone.md").read_text("utf-8")
# What messages are made of, without the breaks of the source's lines.
SOURCE = re.sub(
    r'"\s*\n\s*f?"', "", "".join(path.read_text("utf-8") for path in sorted((ROOT / "tflite_bench").rglob("*.py")))
)
MESSAGES = re.findall(r"^\| `([^`]+)` \|", TEXT.partition("## When it does not work")[2], re.MULTILINE)
FLAGS = {flag for verb in VERBS for flag in importlib.import_module(f"tflite_bench.bin.{verb}").FLAGS}
OTHERS = {"workdir", "max_latency_ms"}  # of tfmeta


@pytest.mark.parametrize("message", MESSAGES)
def test_each_message_is_one_of_ours(message: str) -> None:
    parts = [part.strip() for part in re.split(r"…|HOST:PORT|[()]", message)]
    missing = [part for part in parts if part.strip(" :.") and part.strip(" :.") not in SOURCE]
    assert not missing


def test_there_are_messages_to_check() -> None:
    assert len(MESSAGES) > 10


@pytest.mark.parametrize("flag", sorted(set(re.findall(r"--([a-z][a-z_0-9]*)", TEXT)) - OTHERS))
def test_each_flag_exists(flag: str) -> None:
    assert flag in FLAGS or flag.removeprefix("no") in FLAGS


@pytest.mark.parametrize("verb", sorted(set(re.findall(r"tflite-bench (\w+)", TEXT))))
def test_each_verb_exists(verb: str) -> None:
    assert verb in VERBS


def test_each_verdict_is_told() -> None:
    assert re.findall(r"^\| ([A-Z]+) \|", TEXT, re.MULTILINE) == list(Verdict)
