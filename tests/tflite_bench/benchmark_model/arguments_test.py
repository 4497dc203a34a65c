from __future__ import annotations

import dataclasses

import pytest

from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.arguments import Runs, arguments
from tflite_bench.benchmark_model.lines import LITERT, TFLITE
from tflite_bench.errors import OptionsError

XNNPACK = BenchOptions()
FULL = dataclasses.replace(XNNPACK, require_full_delegation=True)
GPU = BenchOptions(delegate="gpu")
NNAPI = BenchOptions(delegate="nnapi")
PLAIN = BenchOptions(delegate="none")
RUNS = Runs(num_runs=50, min_secs=1.0, max_secs=150.0, warmup_runs=1, warmup_min_secs=0.5)


@pytest.mark.parametrize("options", [XNNPACK, FULL, PLAIN, GPU, NNAPI])
def test_arguments_of_the_classic_tool(options: BenchOptions) -> None:
    got = arguments("/a b/m.tflite", options, RUNS, result_file="r.pb")
    flags = {
        "xnnpack": ["--use_xnnpack=true"],
        "none": ["--use_xnnpack=false"],
        "gpu": ["--use_gpu=true"],
        "nnapi": ["--use_nnapi=true"],
    }[options.delegate] + ["--require_full_delegation=true"] * options.require_full_delegation
    assert got == [
        "--graph=/a b/m.tflite",
        "--num_threads=1",
        "--num_runs=50",
        "--min_secs=1",
        "--max_secs=150",
        "--warmup_runs=1",
        "--warmup_min_secs=0.5",
        *flags,
        "--result_file_path=r.pb",
    ]


def test_arguments_of_litert() -> None:
    gpu = dataclasses.replace(GPU, require_full_delegation=True)
    for options, flags in [
        (XNNPACK, ["--use_cpu=true"]),
        (GPU, ["--use_gpu=true"]),
        (gpu, ["--use_gpu=true", "--use_cpu=false", "--require_full_delegation=true"]),
    ]:
        assert arguments("m", options, RUNS, flavour=LITERT)[7:] == flags
    assert arguments("m", XNNPACK, RUNS, flavour=LITERT, profile=True)[-1] == "--use_profiler=true"
    assert arguments("m", XNNPACK, RUNS, profile=True)[-1] == "--enable_op_profiling=true"


@pytest.mark.parametrize(
    ("options", "flavour"),
    [
        (BenchOptions(delegate="none", require_full_delegation=True), TFLITE),
        (PLAIN, LITERT),
        (NNAPI, LITERT),
        (FULL, LITERT),
    ],
)
def test_what_a_program_cannot_do_is_told_before(options: BenchOptions, flavour: str) -> None:
    with pytest.raises(OptionsError, match=r"Expected .*delegate"):
        arguments("m", options, RUNS, flavour=flavour)


def test_numbers_are_written_as_c_reads_them() -> None:
    runs = Runs(num_runs=2**40, min_secs=1e-6, max_secs=1e6, warmup_runs=0, warmup_min_secs=1 / 3)
    got = arguments("m", XNNPACK, runs)
    assert got[2:7] == [
        "--num_runs=2147483647",
        "--min_secs=1e-06",
        "--max_secs=1000000",
        "--warmup_runs=0",
        "--warmup_min_secs=0.333333333",
    ]
