from __future__ import annotations

import dataclasses
import re

import pytest

from tests.tflite_bench.benchmark_model.captured import FLAVOURS, all_names, captured, output, result_of
from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.arguments import Runs
from tflite_bench.benchmark_model.lines import LITERT, TFLITE, flavour_of
from tflite_bench.benchmark_model.output import Output, parse
from tflite_bench.errors import BenchError, DeviceError, DeviceLostError, ModelFileError, OutputError
from tflite_bench.types import Delegation

XNNPACK = BenchOptions()
FULL = dataclasses.replace(XNNPACK, require_full_delegation=True)
GPU = BenchOptions(delegate="gpu")
NNAPI = BenchOptions(delegate="nnapi")
PLAIN = BenchOptions(delegate="none")
RUNS = Runs(num_runs=50, min_secs=1.0, max_secs=150.0, warmup_runs=1, warmup_min_secs=0.5)
COMPLETE = Delegation("xnnpack", complete=True, partitions=1)

# (flavour, inferences, median ms, p95 ms, mean ms, first inference ms, init ms, memory MB), read from the files by eye.
GOOD = {
    "01_normal_fp32": (TFLITE, 84, 9.493, 18.175, 11.8824, 35.812, 134.372, 38.0312),
    "02_normal_int8": (TFLITE, 147, 4.778, 12.097, 6.70591, 4.222, 20.642, 15.4414),
    "03_normal_fp32_merged": (TFLITE, 93, 10.59, 11.8, 10.7026, 10.996, 18.223, 38.1797),
    "04_threads1": (TFLITE, 84, 9.942, 18.081, 11.855, 17.572, 39.402, 38.2461),
    "06_xnnpack_true": (TFLITE, 79, 10.701, 21.32, 12.572, 16.612, 24.614, 38.2656),
    "07_xnnpack_false": (TFLITE, 50, 86.517, 187.11, 97.1551, 118.408, 0.818, 32.6289),
    "10_opprof_default": (TFLITE, 102, 8.992, 13.378, 9.73538, 9.016, 18.583, 38.2773),
    "12_opprof_xnnpack_false": (TFLITE, 14, 70.278, 180.74, 73.0768, 96.783, 1.528, 33.9492),
    "14_opprof_csv_stdout": (TFLITE, 12, 75.473, 125.42, 84.0194, 108.243, 9.898, 34.207),
    "19_opprof_bad_output_file": (TFLITE, 5, 8.551, 19.066, 10.822, 7.584, 21.308, 38.4531),
    "20_peak_memory": (TFLITE, 102, 8.529, 15.947, 9.73824, 11.107, 18.384, 38.332),
    "26_external_delegate_missing": (TFLITE, 5, 16.661, 20.705, 15.7252, 11.07, 25.808, 38.2773),
    "27_xnnpack_require_full_delegation": (TFLITE, 5, 12.523, 13.876, 12.6766, 10.874, 23.391, 38.332),
    "31_single_run_no_warmup": (TFLITE, 1, 13.326, 13.326, 13.326, None, 34.271, 38.4375),
    "33_max_secs_cuts": (TFLITE, 22, 12.667, 16.977, 13.5097, 11.426, 34.712, 38.0742),
    "34_min_secs_extends": (TFLITE, 142, 12.505, 21.201, 14.0621, 10.739, 18.007, 38.375),
    "36_verbose": (TFLITE, 5, 10.803, 15.795, 11.665, 14.27, 18.811, 38.2148),
    "63_result_file_unwritable": (TFLITE, 5, 10.866, 11.3, 10.7324, 11.477, 18.606, 38.1484),
    "65_preinvoke_state": (TFLITE, 5, 8.217, 11.849, 8.8956, 8.055, 15.907, 38.4414),
    "L01_normal": (LITERT, 50, 56.61, 70.677, 58.6572, 79.467, 4.767, 23.15),
    "L02_normal_merged": (LITERT, 50, 56.488, 65.754, 59.1443, 70.507, 1.114, 23.24),
    "L04_use_profiler": (LITERT, 5, 59.888, 67.695, 61.6012, 63.167, 104.512, 91.20),
    "L14_peak_memory": (LITERT, 5, 55.986, 64.453, 57.198, 58.509, 2.567, 23.05),
    "L16_multi_signature": (LITERT, 5, 0.003, 0.003, 0.0026, 0.038, 0.743, 2.08),
    "L17_use_npu": (LITERT, 5, 58.495, 63.161, 59.5228, 113.163, 1.137, 23.19),
}

# What was asked for, the error, and a part of its text.
BAD: dict[str, tuple[BenchOptions, type[BenchError], str]] = {
    "18_opprof_bad_mode": (XNNPACK, DeviceError, "exit code 1.*Output modejson is not supported"),
    "22_use_gpu_unsupported_build": (GPU, DeviceError, "'gpu'. Received those of the CPU.*GPU acceleration is unsupp"),
    "23_use_gpu_require_full_delegation": (GPU, DeviceError, "GPU acceleration is unsupported on this platform"),
    "24_use_nnapi_unavailable": (NNAPI, DeviceError, "'nnapi'. Received those of the CPU.*NNAPI acceleration is unsu"),
    "25_use_hexagon_unavailable": (XNNPACK, DeviceError, "does not know --use_hexagon"),
    "30_dry_run": (XNNPACK, OutputError, "count=0, as of a dry run"),
    "40_missing_file": (XNNPACK, DeviceLostError, "no longer where it was put"),
    "41_truncated": (XNNPACK, ModelFileError, "damaged or cut off"),
    "42_garbage_text": (XNNPACK, ModelFileError, "damaged or cut off"),
    "43_empty_file": (XNNPACK, ModelFileError, "empty or cannot be read"),
    "44_directory": (XNNPACK, ModelFileError, "empty or cannot be read"),
    "45_no_graph_flag": (XNNPACK, DeviceError, "Please specify the name"),
    "46_unknown_flag": (XNNPACK, DeviceError, "does not know --nonsense, so"),
    "47_bad_int": (XNNPACK, DeviceError, "does not understand the flag --num_runs"),
    "48_bad_bool": (XNNPACK, DeviceError, "does not understand the flag --use_gpu"),
    "49_flag_without_equals": (XNNPACK, DeviceError, "Please specify the name"),
    "50_help": (XNNPACK, DeviceError, "usage: ./benchmark_model <flags>"),
    "51_benchmark_params_json_is_unknown": (XNNPACK, DeviceError, "does not know --benchmark_params_json"),
    "52_flex_op_model": (XNNPACK, ModelFileError, "TensorFlow operation FlexMatrixDeterminant, which no plain"),
    "53_multi_signature_no_key": (XNNPACK, ModelFileError, "several signatures"),
    "56_input_layer_mismatch": (XNNPACK, DeviceError, "must match the number of items"),
    "57_input_layer_wrong_rank": (XNNPACK, DeviceError, "should have 4 dimensions"),
    "59_input_value_file_bad_size_abort": (
        XNNPACK,
        DeviceError,
        "SIGABRT.*in_bad.bin is 100 bytes. It should be 602112 b",
    ),
    "61_bad_resize": (XNNPACK, ModelFileError, "operation TfLiteXNNPackDelegate failed to prepare"),
    "62_result_file": (XNNPACK, OutputError, "result file exactly where it was saved"),
    "70_perf_options_cpu": (XNNPACK, OutputError, "such as benchmark_model_performance_options"),
    "72_perf_options_bad": (XNNPACK, OutputError, "Received 0 of the 2: the output is cut off"),
    "80_killed_by_timeout": (XNNPACK, DeviceError, "did not end in time"),
    "81_not_executable": (XNNPACK, DeviceError, "cannot be executed: .*Permission denied"),
    "82_sh_missing_binary": (XNNPACK, DeviceLostError, "no longer where it was put.*not found"),
    "83_sh_permission_denied": (XNNPACK, DeviceError, "cannot be executed: .*Permission denied"),
    "L05_classic_flags": (XNNPACK, DeviceError, "does not know --enable_op_profiling, --use_xnnpack"),
    "L07_use_gpu_full_delegation": (GPU, DeviceError, "SIGABRT.*incompatible"),
    "L08_missing_file": (XNNPACK, DeviceLostError, "no longer where it was put"),
    "L09_garbage": (XNNPACK, ModelFileError, "no TFLite model"),
    "L11_no_graph": (XNNPACK, DeviceLostError, "no longer where it was put"),
    "L12_help": (XNNPACK, DeviceError, "exit code 1"),
    "L13_dry_run": (XNNPACK, OutputError, "count=0, as of a dry run"),
    "L15_result_file": (XNNPACK, OutputError, "result file exactly where it was saved"),
    "L18_flex": (XNNPACK, ModelFileError, "TensorFlow operation FlexMatrixDeterminant"),
}


def _parse(name: str, options: BenchOptions = XNNPACK) -> Output:
    run = captured(name)
    return parse(run.stdout, run.stderr, run.exit_code, options)


def test_every_captured_output_has_an_expectation() -> None:
    assert sorted(GOOD.keys() | BAD.keys()) == all_names()
    assert not GOOD.keys() & BAD.keys()


@pytest.mark.parametrize("name", GOOD)
def test_genuine_output_is_read(name: str) -> None:
    got = _parse(name, PLAIN if "xnnpack_false" in name else XNNPACK)
    block, (flavour, *numbers) = got.block, GOOD[name]
    told = [block.count, block.median_ms, block.p95_ms, block.mean_ms, got.first_inference_ms, got.init_ms]
    assert got.flavour == flavour
    for value, expected in zip([*told, got.peak_memory_mb], numbers, strict=True):
        assert value == (None if expected is None else pytest.approx(expected, rel=1e-12))
    assert block.times_ms == ()


@pytest.mark.parametrize("name", BAD)
def test_genuine_failures_are_told(name: str) -> None:
    options, kind, text = BAD[name]
    with pytest.raises(kind, match=f"(?s){text}") as caught:
        _parse(name, options)
    assert type(caught.value) is kind
    assert len(str(caught.value)) < 700 and "\n" not in str(caught.value)


def test_the_whole_line_becomes_the_block() -> None:
    got = _parse("01_normal_fp32")
    block = got.block
    assert (block.first_ms, block.last_ms, block.min_ms, block.p5_ms) == (9.467, 14.189, 8.511, 8.71)
    assert (block.max_ms, block.std_ms) == (58.09, 6.08)
    assert got.warmup is not None
    assert (got.warmup.count, got.warmup.first_ms, got.warmup.median_ms) == (33, 35.812, 12.891)


@pytest.mark.parametrize("name", ["01_normal_fp32", "04_threads1", "36_verbose", "L01_normal", "L14_peak_memory"])
@pytest.mark.parametrize("how", ["merged", "crlf", "no severity", "threadtime", "brief"])
def test_the_same_numbers_come_from_every_way_of_looking(name: str, how: str) -> None:
    run = captured(name)
    stdout, stderr = run.stdout, run.stderr
    if how == "merged":  # a phone without shell protocol 2
        stdout, stderr = stderr + stdout, ""
    elif how == "crlf":
        stdout, stderr = stdout.replace("\n", "\r\n"), stderr.replace("\n", "\r\n")
    elif how == "no severity":  # before 2021
        stdout, stderr = (re.sub("^INFO: ", "", text, flags=re.MULTILINE) for text in (stdout, stderr))
    else:
        prefix = "11-22 10:41:06.892  4669  4669 I tflite  : " if how == "threadtime" else "I/tflite  ( 4669): "
        stdout, stderr = (re.sub("^INFO: ", prefix, text, flags=re.MULTILINE) for text in (stdout, stderr))
    assert parse(stdout, stderr, 0, XNNPACK) == _parse(name)


def test_scientific_notation_is_a_number() -> None:
    times = [2_159_320, 2_159_321, 2_159_330]
    stdout, stderr = output(times, [2_000_000])
    assert "avg=2.15932e+06" in stdout
    assert parse(stdout, stderr, 0, XNNPACK).block.mean_ms == pytest.approx(2159.32)


@pytest.mark.parametrize("flavour", FLAVOURS)
@pytest.mark.parametrize("times", [[14], [14] * 5, [14, 15]])
def test_short_forms_of_the_line(flavour: str, times: list[int]) -> None:
    block = parse(*output(times, [20], flavour=flavour), 0, XNNPACK).block
    assert (block.count, block.min_ms, block.max_ms) == (len(times), 0.014, times[-1] / 1e3)
    assert block.median_ms == sorted(times)[len(times) // 2] / 1e3


@pytest.mark.parametrize(
    "text",
    [
        "Average inference timings in us: Warmup: 11500.5, Init: 20000, no stats: 10500.5",
        "Average inference timings in us: Warmup: 11500.5, Init: 20000, Inference: 10500.5",
    ],
)
def test_output_of_tensorflow_1_is_understood_but_has_no_median(text: str) -> None:
    stdout, _ = output([10_000, 11_001], [11_000, 12_001], percentiles=False)
    kept = [line for line in stdout.split("\n") if not line.startswith(("INFO: Inference", "INFO: Note", "INFO: Mem"))]
    memory = "[Overall] - Memory usage: max resident set size = 23.0469 MB, total malloc-ed size = 6.4 MB"
    old = (
        "\n".join([*kept, text, memory, ""])
        .replace("INFO: ", "")
        .replace(" but terminate if exceeding 150 seconds", "")
    )
    with pytest.raises(OutputError, match=r"older than November 2024.*tflite-bench fetch"):
        parse(old, "", 0, XNNPACK)
    with pytest.raises(OutputError, match="contradicts itself"):
        parse(old.replace(": 10500.5", ": 10400.5"), "", 0, XNNPACK)


def test_one_inference_has_a_median_also_with_an_old_tool() -> None:
    stdout, stderr = output([12_345], [20_000], percentiles=False, num_runs=1)
    assert "median" not in stdout
    assert parse(
        stdout.replace("Memory footprint delta from the start of the tool", "Peak memory footprint"), stderr, 0, XNNPACK
    ) == parse(*output([12_345], [20_000], num_runs=1), 0, XNNPACK)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_a_time_of_0_is_refused(flavour: str) -> None:
    with pytest.raises(OutputError, match="0 microseconds"):
        parse(*output([0, 5, 6], [7], flavour=flavour), 0, XNNPACK)
    with pytest.raises(OutputError, match="0 microseconds"):
        parse(*output([0], [7], flavour=flavour), 0, XNNPACK)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("median=12667", "median=nan"),
        ("median=12667", "median=-12667"),
        ("median=12667", "median=0"),
        ("median=12667", "median=1.2667e+04"),
        ("median=12667", "median=26670"),
        ("p95=16977", "p95=11977"),
        ("min=9703", "min=97030"),
        ("avg=13509.7 std", "avg=nan std"),
        ("avg=13509.7 std", "avg=13609.7 std"),
        ("std=2599", "std=25990"),
        ("first=11871", "first=1187"),
        ("count=22 first=11871", "count=1 first=11871"),
        ("count=22 first=11871", "count=0 first=11871"),
        ("count=22 first=11871", "count=22 frist=11871"),
        ("count=22 first=11871 curr=16881", "count=22 curr=16881"),
        ("(avg): 13509.7", "(avg): 1350.97"),
        ("First inference: 11426", "First inference: 1142"),
        ("Init: 34712", "Init: 134712"),
        ("in 34.712ms", "in 134.712ms"),
        ("Initialized session in 34.712ms.\n", ""),
        ("at least 100000 iterations", "at least many iterations"),
    ],
)
def test_numbers_that_contradict_each_other_are_refused(old: str, new: str) -> None:
    run = captured("33_max_secs_cuts")
    assert run.stdout.count(old) == 1
    with pytest.raises(OutputError):
        parse(run.stdout.replace(old, new), run.stderr, 0, XNNPACK)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Inference (avg):      58.66 ms (50 runs)", "Inference (avg):      58.66 ms (51 runs)"),
        ("Inference (avg):      58.66 ms", "Inference (avg):      58.68 ms"),
        ("Inference (min):      52.62 ms", "Inference (min):      52.61 ms"),
        ("Inference (max):      78.14 ms", "Inference (max):      nan ms"),
        ("Inference (std):      5.51", "Inference (std):      6.51"),
        ("Warmup (first):       79.47 ms", "Warmup (first):       79.47 us"),
        ("Warmup (avg):         59.24 ms (9 runs)", "Warmup (avg):         59.24 ms (8 runs)"),
        ("Model initialization: 4.77 ms", "Model initialization: 47.7 ms"),
        ("========== BENCHMARK RESULTS ==========", ""),
        ("Inference (std):      5.51", "Inference (std):      5.51\nINFO: Inference (std):      5.51"),
    ],
)
def test_the_end_of_litert_must_agree(old: str, new: str) -> None:
    run = captured("L01_normal")
    assert run.stderr.count(old) == 1
    with pytest.raises(OutputError):
        parse(run.stdout, run.stderr.replace(old, new), 0, XNNPACK)


@pytest.mark.parametrize("name", ["01_normal_fp32", "10_opprof_default", "L01_normal"])
def test_two_outputs_in_one_are_refused(name: str) -> None:
    run = captured(name)
    with pytest.raises(OutputError, match="two outputs are mixed"):
        parse(run.stdout * 2, run.stderr * 2, 0, XNNPACK)
    lines = run.stdout.split("\n")
    mixed = "\n".join(line for pair in zip(lines, lines, strict=True) for line in pair)
    with pytest.raises(OutputError):
        parse(mixed, run.stderr, 0, XNNPACK)
    other = captured("02_normal_int8").stdout.split("\n")
    mixed = "\n".join(line for pair in zip(lines, other, strict=False) for line in pair)
    with pytest.raises(OutputError):
        parse(mixed, run.stderr, 0, XNNPACK)


def test_a_line_that_another_one_was_written_into_is_refused() -> None:
    run = captured("01_normal_fp32")
    torn = run.stdout.replace("median=9493", "medINFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nian=9493")
    with pytest.raises(OutputError, match=r"in numbers\. Received: 'count=84 first"):
        parse(torn, run.stderr, 0, XNNPACK)
    torn = run.stdout.replace("INFO: count=84", "VERBOSE: ReplINFO: count=84")
    with pytest.raises(OutputError, match="on a line of its own"):
        parse(torn, run.stderr, 0, XNNPACK)


@pytest.mark.parametrize("flavour", FLAVOURS)
def test_the_result_file_is_compared(flavour: str) -> None:
    times, warmup = [10_000, 11_000, 13_000, 12_500], [15_000, 11_000]
    stdout, stderr = output(times, warmup, flavour=flavour, saved=True)
    got = parse(stdout, stderr, 0, XNNPACK, result=result_of(times, warmup))
    assert got == parse(*output(times, warmup, flavour=flavour), 0, XNNPACK)
    for other in ([10_000, 11_000, 13_000, 12_501], times * 2, [10_000, 11_001, 13_000, 12_499]):
        with pytest.raises(OutputError, match="text and result file"):
            parse(stdout, stderr, 0, XNNPACK, result=result_of(other, warmup))
    with pytest.raises(OutputError, match="first_inference_ms"):
        parse(stdout, stderr, 0, XNNPACK, result=result_of(times, [15_001, 11_000]))
    with pytest.raises(OutputError, match="cut off"):
        parse(stdout, stderr, 0, XNNPACK, result=b"")


def test_a_result_file_that_was_not_saved_is_of_another_run() -> None:
    times, warmup = [10_000, 11_000], [15_000]
    with pytest.raises(OutputError, match="did not save"):
        parse(*output(times, warmup), 0, XNNPACK, result=result_of(times, warmup))


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"num_runs": 51}, "timed part of 51 inferences"),
        ({"min_secs": 2.0}, "and 2 s"),
        ({"max_secs": 10.0}, "at most 10 s"),
        ({"warmup_runs": 3}, "warm-up of 3 inferences"),
        ({"warmup_min_secs": 0.0}, "of 1 inferences and 0 s"),
    ],
)
def test_the_output_of_another_run_is_refused(change: dict[str, float], text: str) -> None:
    stdout, stderr = output([10_000, 11_000], [15_000])
    assert parse(stdout, stderr, 0, XNNPACK, runs=RUNS).block.count == 2
    with pytest.raises(OutputError, match=rf"{text}.*output of another run"):
        parse(stdout, stderr, 0, XNNPACK, runs=dataclasses.replace(RUNS, **change))


def test_seconds_that_c_rounds_are_the_same() -> None:
    stdout, stderr = output([10_000, 11_000], [15_000], min_secs=1 / 3)
    assert "at least 0.333333 seconds" in stdout
    parse(stdout, stderr, 0, XNNPACK, runs=dataclasses.replace(RUNS, min_secs=1 / 3))


@pytest.mark.parametrize("name", all_names())
def test_the_flavour_shows_also_in_a_failure(name: str) -> None:
    run = captured(name)
    found = flavour_of(run.stdout, run.stderr)
    early = name[:2] in ("18", "45", "47", "48", "49", "50", "56", "72", "81", "82", "83") or name == "L12_help"
    assert found == (None if early else LITERT if name.startswith("L") else TFLITE)


def test_the_delegation_of_xnnpack() -> None:
    assert _parse("06_xnnpack_true").delegation == COMPLETE
    assert _parse("27_xnnpack_require_full_delegation", FULL).delegation == COMPLETE
    assert _parse("01_normal_fp32").delegation is None  # not asked for, so nothing is told
    with pytest.raises(ModelFileError, match=r"Expected all of the model on the delegate 'xnnpack'\. Received less"):
        _parse("01_normal_fp32", FULL)


@pytest.mark.parametrize("name", ["01_normal_fp32", "26_external_delegate_missing", "L01_normal", "L17_use_npu"])
@pytest.mark.parametrize("options", [GPU, NNAPI])
def test_times_of_the_cpu_are_never_taken_for_a_delegate(name: str, options: BenchOptions) -> None:
    with pytest.raises(DeviceError, match="Nothing in the output of benchmark_model says that the delegate ran"):
        _parse(name, options)


def test_warnings_are_kept() -> None:
    assert _parse("63_result_file_unwritable").warnings == ("Failed to save benchmark result to: /nonexistent/res.pb",)
    assert _parse("01_normal_fp32").warnings == ()
