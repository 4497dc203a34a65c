from __future__ import annotations

import math

import pytest

from tests.tflite_bench.benchmark_model.captured import FOLDER, captured
from tflite_bench.benchmark_model.op_profile import OpProfile, OpRow, OpType, parse_profile
from tflite_bench.errors import OutputError

XNNPACK_ROW = OpRow(
    type="Convolution (NHWC, F32) IGEMM",
    name="Delegate/Convolution (NHWC, F32) IGEMM:0",
    avg_ms=0.494,
    share=0.05266,
    calls=1.0,
    mem_kb=0.0,
)
CONV = "[mobilenetv2_1.00_224_1/Conv1_relu_1/Relu6;mobilenetv2_1.00_224_1/Conv1_1/convolution]:0"
TITLE = "Operator-wise Profiling Info for Regular Benchmark Runs:"
ORDER = "============================== Run Order =============================="
HEAD = "\t[node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]"


def _profile(name: str) -> OpProfile:
    run = captured(name)
    return parse_profile(run.stdout, run.stderr)


def _rows(*rows: str, count: int | None = None, runs: int = 9) -> str:
    lines = [ORDER, HEAD, *rows, "", f"Number of nodes executed: {len(rows) if count is None else count}"]
    return "\n".join([*lines, f"Timings (microseconds): count={runs} first=1 curr=2 min=1 max=2 avg=1.5 std=0", ""])


def test_rows_of_xnnpack() -> None:
    got = _profile("10_opprof_default")
    assert got.rows[0] == XNNPACK_ROW
    assert (len(got.rows), got.num_runs) == (5, 102)
    assert [(row.type, row.avg_ms, row.mem_kb) for row in got.init] == [
        ("ModifyGraphWithDelegate", 11.494, 25940.0),
        ("AllocateTensors", 5.59, 7424.0),
    ]
    assert got.inner == ()


def test_rows_of_the_plain_kernels() -> None:
    got = _profile("12_opprof_xnnpack_false")
    assert got.rows[0] == OpRow("CONV_2D", CONV, 4.214, pytest.approx(0.05803), 1.0, 0.0)
    assert got.rows[4].name.endswith("/block_1_pad_1/Pad1]:4")
    assert (got.num_runs, [row.type for row in got.init]) == (14, ["AllocateTensors"])


@pytest.mark.parametrize(
    ("name", "row", "num_runs"),
    [
        ("14_opprof_csv_stdout", OpRow("CONV_2D", CONV, 4.43833, pytest.approx(0.052947), 1.0, 0.0), 12),
        (
            "19_opprof_bad_output_file",
            OpRow(XNNPACK_ROW.type, XNNPACK_ROW.name, 0.897, pytest.approx(0.101505), 1.0, 0.0),
            5,
        ),
    ],
)
def test_comma_separated_rows(name: str, row: OpRow, num_runs: int) -> None:
    got = _profile(name)
    assert (got.rows[0], got.num_runs, len(got.rows)) == (row, num_runs, 5)


def test_the_file_of_comma_separated_rows() -> None:
    got = parse_profile((FOLDER / "15b_opprof_csv_file_content.txt").read_text())
    assert got.rows[0] == OpRow("CONV_2D", CONV, 6.3069, pytest.approx(0.0619855), 1.0, 0.0)
    assert (got.num_runs, len(got.rows), got.init[0].avg_ms) == (10, 5, 0.138)


def test_rows_of_litert_whose_calls_are_of_all_inferences() -> None:
    got = _profile("L04_use_profiler")
    assert got.rows[1] == OpRow("DEPTHWISE_CONV_2D", "[Builtin]:1", 4.144, pytest.approx(0.0674), 1.0, 0.0)
    assert (got.num_runs, got.init) == (6, ())  # one warm-up and five timed inferences


def test_rows_are_sorted_and_summed_up() -> None:
    got = _profile("12_opprof_xnnpack_false")
    assert [row.avg_ms for row in got.by_time] == [5.195, 4.214, 3.474, 3.18, 1.316]
    conv, depthwise = got.by_type
    assert (conv.type, conv.count, depthwise.type, depthwise.count) == ("CONV_2D", 3, "DEPTHWISE_CONV_2D", 2)
    assert conv.avg_ms == pytest.approx(4.214 + 1.316 + 5.195)
    assert conv.share == pytest.approx(0.05803 + 0.01812 + 0.07154)
    assert isinstance(conv, OpType)


def test_json_has_rows_and_types() -> None:
    data = _profile("10_opprof_default").to_json()
    assert set(data) == {"rows", "num_runs", "init", "inner", "by_type"}
    assert data["rows"][0]["avg_ms"] == 0.494 and data["by_type"][0]["count"] == 2


def test_columns_of_old_versions() -> None:
    text = "\n".join(
        [
            TITLE,
            _rows("\t  CONV_2D\t  107.878\t  0.325\t  0.335\t  50.0%\t  50.0%\t  0.000\t  0\t[Conv2d_1c_1x1/BiasAdd]"),
        ]
    ).replace("[first]", "[start]\t[first]")
    (row,) = parse_profile(text).rows
    assert row == OpRow("CONV_2D", "[Conv2d_1c_1x1/BiasAdd]", 0.335, 0.5, 0.0, 0.0)


def test_an_operator_in_a_loop_takes_the_time_of_all_its_calls() -> None:
    (row,) = parse_profile(_rows("\tADD\t1.0\t0.5\t100.0%\t100.0%\t0.0\t4\tx:0")).rows
    assert (row.avg_ms, row.calls) == (2.0, 4.0)


def test_subgraphs_and_delegates_own_tables_are_not_added_twice() -> None:
    outer = _rows("\tADD\t1.0\t1.0\t25%\t25%\t0.0\t1\tx:0", "\tTfLiteGpuDelegateV2\t3\t3.0\t75%\t100%\t-8.5\t1\ty:1")
    inner = _rows("\tconv 0 -> relu 1\t3.0\t2.9\t100.0%\t100.0%\t0.0\t1\tDelegate/conv 0 -> relu 1:0")
    got = parse_profile(f"{TITLE}\n{outer}\nDelegate internal: \n{inner}")
    assert [(row.type, row.mem_kb) for row in got.rows] == [("ADD", 0.0), ("TfLiteGpuDelegateV2", -8.5)]
    assert [(row.type, row.name) for row in got.inner] == [("conv 0 -> relu 1", "Delegate/conv 0 -> relu 1:0")]
    assert math.isclose(sum(row.share for row in got.rows), 1.0)


def test_shares_of_nothing_are_nothing() -> None:
    (row,) = parse_profile(_rows("\tADD\t0.0\t0.0\t-nan%\tnan%\t0.0\t1\tx:0")).rows
    assert row.share == 0.0


@pytest.mark.parametrize("name", ["01_normal_fp32", "L01_normal", "40_missing_file", "46_unknown_flag"])
def test_output_without_tables_is_refused(name: str) -> None:
    with pytest.raises(OutputError, match="Expected tables of the operators' times"):
        _profile(name)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_rows("\tADD\t1.0\t1.0\t100%\t100%\t0.0\t1\tx:0", count=2), "a table of 2 operators. Received 1 rows"),
        (_rows("\tADD\t1.0\t1.0\t100%\t100%\t0.0\t1\tx:0").split("\nNumber")[0] + "\n", "a table of all operators"),
        (_rows("\tADD\t1.0\tnan\t100%\t100%\t0.0\t1\tx:0"), "Expected a row of the operators' table"),
        (_rows("\tADD\t1.0\t1.0\t100%\t100%\t0.0\t1"), "Expected a row"),
        (_rows("ADD"), "Expected a row"),
        (_rows("\tADD\t" + "1.0\t" * 2000 + "x"), "Expected a row"),
        (_rows(), "Expected tables"),
        (_rows("\tADD\t1.0\t1.0\t100%\t100%\t0.0\t1\tx:0", runs=0), "Expected tables"),
    ],
)
def test_damaged_tables_are_refused(text: str, message: str) -> None:
    with pytest.raises(OutputError, match=message) as caught:
        parse_profile(f"{TITLE}\n{text}")
    assert len(str(caught.value)) < 400


def test_long_lines_take_no_time() -> None:
    with pytest.raises(OutputError):
        parse_profile(f"{TITLE}\n{_rows(chr(9) + 'x ' * 1990)}\n{_rows(chr(9) + ' 1.0' * 100_000)}")
