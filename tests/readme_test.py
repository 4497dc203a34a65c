"""What the README tells a user to type works."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tflite_bench.__main__ as bench_main
from tfmeta.bin import VERBS
from tfmeta.export import SCHEMES
from tfmeta.registry import resolve
from tfmeta.stages.check import DEVICE

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
SHIPPING = (ROOT / "docs/shipping.md").read_text("utf-8")
_INLINE = re.compile(r"`((?:tfmeta|tflite-bench|make) [^`]+)`")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def _commands(program: str) -> list[str]:
    shell = [line.split("#")[0].strip() for block in _blocks("sh") for line in block.splitlines()]
    return [text for text in [*_INLINE.findall(README), *shell] if text.startswith(f"{program} ")]


def test_the_python_example_runs(tmp_path: Path) -> None:
    (example,) = _blocks("python")
    # The same lines with the least training: what they end with is the benchmarks' matter.
    quick = re.sub(r"epochs=\d+", "epochs=4", example)
    quick = re.sub(r"generations=\d+", "generations=1", quick)
    assert quick != example
    done = subprocess.run([sys.executable, "-c", quick], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "small.tflite").stat().st_size > 10_000


@pytest.mark.parametrize("command", sorted(set(_commands("tfmeta"))))
def test_every_tfmeta_command_names_a_verb_and_its_flags(command: str) -> None:
    _, verb, *words = command.split()
    assert verb in VERBS
    known = importlib.import_module(f"tfmeta.bin.{verb}").FLAGS
    for word in words:
        if word.startswith("--"):
            assert word.removeprefix("--").split("=")[0] in known


@pytest.mark.parametrize("flag", sorted(set(re.findall(r"`--([a-z_]+)[=`]", README + SHIPPING))))
def test_every_flag_that_is_named_alone_exists(flag: str) -> None:
    # Every verb takes these without defining them.
    known = [f"tfmeta.bin.{verb}" for verb in VERBS] + [f"tflite_bench.bin.{verb}" for verb in bench_main.VERBS]
    found = [module for module in known if flag in importlib.import_module(module).FLAGS]
    assert found or flag in ("flagfile", "help")


@pytest.mark.parametrize("command", sorted(set(_commands("tflite-bench"))))
def test_every_tflite_bench_command_names_a_verb_and_its_flags(command: str) -> None:
    _, verb, *words = command.split()
    assert verb in bench_main.VERBS
    known = importlib.import_module(f"tflite_bench.bin.{verb}").FLAGS
    for word in words:
        if word.startswith("--"):
            assert word.removeprefix("--").split("=")[0] in known


@pytest.mark.parametrize("command", sorted(set(_commands("make"))))
def test_every_make_target_exists(command: str) -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert re.search(rf"^{command.split()[1]}:", makefile, re.MULTILINE)


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`((?:tfmeta|tflite_bench|docs|benchmarks|tests)/[\w/.]+)`", README)))
)
def test_every_file_that_is_named_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("name", sorted(SCHEMES))
def test_the_tolerances_of_schemes_are_told(name: str) -> None:
    tolerance = resolve(SCHEMES, name, "scheme").tolerance
    (row,) = re.findall(rf"^\| `{name}` \|.*", SHIPPING, re.MULTILINE)
    same, error = (cell.strip() for cell in row.split("|")[3:5])
    assert same == f"{100 * tolerance.min_class_agreement:g} %"
    assert error == ("–" if tolerance.max_relative_error is None else f"{tolerance.max_relative_error:g}")


def test_every_check_of_a_file_is_told() -> None:
    sources = [ROOT / f"tfmeta/{name}.py" for name in ("export/ship_check", "export/ship_run", "stages/check")]
    found = {name for path in sources for name in re.findall(r'Finding\(\s*"(\w+)"', path.read_text("utf-8"))}
    (rows,) = re.findall(r"^\| check \|.*\n\|.*\n((?:\|.*\n)+)", SHIPPING, re.MULTILINE)
    told = {name for row in rows.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert told == {*found, DEVICE, "input", "output"}
