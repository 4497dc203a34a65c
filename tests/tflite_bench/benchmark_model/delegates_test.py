from __future__ import annotations

import re

import pytest

from tests.tflite_bench.benchmark_model.captured import output
from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.lines import LITERT
from tflite_bench.benchmark_model.output import Output, parse
from tflite_bench.errors import BenchError, DeviceError, ModelFileError
from tflite_bench.types import Delegation

XNNPACK, GPU, NNAPI = (BenchOptions(delegate=name) for name in ("xnnpack", "gpu", "nnapi"))
FULL_GPU = BenchOptions(delegate="gpu", require_full_delegation=True)
FULL_XNNPACK = BenchOptions(require_full_delegation=True)

# As phones print it: the runtime's lines and the program's own.
GPU_LINES = (
    "INFO: Use gpu: [1]",
    "INFO: Initialized TensorFlow Lite runtime.",
    "INFO: Created TensorFlow Lite delegate for GPU.",
    "INFO: GPU delegate created.",
    "INFO: Loaded OpenCL library with dlopen.",
    "VERBOSE: Replacing {nodes} out of {total} node(s) with delegate (TfLiteGpuDelegateV2) node, "
    "yielding {parts} partitions for subgraph 0.",
    "INFO: Initialized OpenCL-based API.",
    "INFO: Created 1 GPU delegate kernels.",
)
ALL_GPU = "INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate."
PART_GPU = (
    "INFO: Explicitly applied GPU delegate, and the model graph will be partially executed by the delegate "
    "w/ 2 delegate kernels."
)
NO_NNAPI = "INFO: Though NNAPI delegate is explicitly applied, the model graph will not be executed by the delegate."
REST_XNNPACK = (
    "VERBOSE: Replacing 7 out of 9 node(s) with delegate (TfLiteXNNPackDelegate) node, yielding 1 partitions "
    "for subgraph 0."
)


def _run(options: BenchOptions, *extra: str, **settings: str) -> Output:
    return parse(*output([10_000, 11_000], [12_000], extra=extra, **settings), 0, options)


def _gpu(nodes: int, total: int, parts: int) -> list[str]:
    return [line.format(nodes=nodes, total=total, parts=parts) for line in GPU_LINES]


def test_a_delegate_that_takes_everything() -> None:
    expected = Delegation("gpu", complete=True, nodes_delegated=49, nodes_total=49, partitions=1)
    for options in (GPU, FULL_GPU):
        assert _run(options, *_gpu(49, 49, 1), ALL_GPU).delegation == expected
    assert expected.share == 1.0


def test_a_delegate_that_takes_a_part() -> None:
    got = _run(GPU, *_gpu(60, 80, 2), PART_GPU, REST_XNNPACK).delegation
    assert got == Delegation("gpu", complete=False, nodes_delegated=60, nodes_total=80, partitions=2)
    assert got is not None and got.share == 0.75
    with pytest.raises(ModelFileError, match=r"all of the model on the delegate 'gpu'\. Received 75% of the operators"):
        _run(FULL_GPU, *_gpu(60, 80, 2), PART_GPU)


def test_without_the_runtimes_lines_the_counts_are_not_known() -> None:
    assert _run(GPU, ALL_GPU).delegation == Delegation("gpu", complete=True, partitions=1)
    part = _run(GPU, PART_GPU).delegation
    assert part == Delegation("gpu", complete=False, partitions=2)
    assert part is not None and part.share is None


def test_old_runtimes_do_not_tell_how_many_operators_there_are() -> None:
    old = "INFO: Replacing 66 node(s) with delegate (TfLiteGpuDelegateV2) node, yielding 1 partitions."
    assert _run(GPU, old, ALL_GPU).delegation == Delegation("gpu", complete=True, partitions=1)
    with pytest.raises(DeviceError, match="Nothing in the output"):
        _run(GPU, old)


@pytest.mark.parametrize("place", ["", " for the whole graph", " for subgraph 0", " for subgraph 0 (decode)"])
def test_all_forms_of_the_runtimes_line(place: str) -> None:
    line = f"VERBOSE: Replacing 5 out of 5 node(s) with delegate (LITERT_CL) node, yielding 1 partitions{place}."
    assert _run(GPU, line, flavour=LITERT).delegation == Delegation("gpu", True, 5, 5, 1)


def test_several_subgraphs_are_summed_up_and_repeats_are_not() -> None:
    form = "Replacing {} out of {} node(s) with delegate (LITERT_CL) node, yielding {} partitions for subgraph {}."
    lines = [form.format(3, 4, 1, 0), form.format(5, 6, 2, 1), form.format(4, 4, 1, 0)]
    assert _run(GPU, *lines, flavour=LITERT).delegation == Delegation("gpu", False, 9, 10, 3)


@pytest.mark.parametrize(
    ("options", "lines", "text"),
    [
        (GPU, [], "Nothing in the output of benchmark_model says that the delegate ran"),
        (GPU, [REST_XNNPACK], "Nothing in the output"),
        (GPU, GPU_LINES[:5], "Nothing in the output"),
        (GPU, ["WARN: GPU acceleration is unsupported on this platform."], "says: GPU acceleration is unsupported on"),
        (GPU, ["GPU acceleration is unsupported on this platform."], "says: GPU acceleration is unsupported on this"),
        (NNAPI, [ALL_GPU], "Nothing in the output"),
        (NNAPI, [NO_NNAPI], "took none of the model's operators"),
        (GPU, [ALL_GPU.replace("GPU", "NNAPI")], "Nothing in the output"),
        (GPU, [f"INFO: Loaded model {ALL_GPU}"], "Nothing in the output"),
    ],
)
def test_times_of_the_cpu_are_refused(options: BenchOptions, lines: list[str], text: str) -> None:
    with pytest.raises(DeviceError, match=text) as caught:
        _run(options, *lines)
    assert f"Expected times of the delegate {options.delegate!r}. Received those of the CPU." in str(caught.value)


def test_two_delegates_one_of_which_was_asked_for() -> None:
    assert _run(GPU, *_gpu(49, 49, 1), ALL_GPU, NO_NNAPI).delegation == Delegation("gpu", True, 49, 49, 1)


def test_xnnpack_is_the_cpu_too() -> None:
    nothing = (
        "INFO: Though XNNPACK delegate is explicitly applied, the model graph will not be executed by the delegate."
    )
    got = _run(XNNPACK, nothing).delegation
    assert got == Delegation("xnnpack", complete=False, nodes_delegated=0, partitions=0)
    assert _run(XNNPACK, REST_XNNPACK).delegation == Delegation("xnnpack", False, 7, 9, 1)
    assert _run(XNNPACK).delegation is None
    for lines in ([nothing], [REST_XNNPACK], []):
        with pytest.raises(ModelFileError, match="Expected all of the model on the delegate 'xnnpack'"):
            _run(FULL_XNNPACK, *lines)


def _failed(stderr: str, code: int = 1) -> BenchError:
    with pytest.raises(BenchError) as caught:
        parse("INFO: STARTING!\nINFO: Graph: [m]\n", stderr + "\nERROR: Benchmarking failed.\n", code, GPU)
    return caught.value


def test_a_delegate_that_refuses_the_model_says_which_operations() -> None:
    error = _failed(
        "ERROR: Following operations are not supported by GPU delegate:\n"
        "ADD: OP is supported, but tensor type isn't matched!\nUNPACK: Operation is not supported.\n"
        "294 operations will run on the GPU, and the remaining 7 on the CPU.\nERROR: Failed to apply GPU delegate."
    )
    assert isinstance(error, ModelFileError)
    assert str(error) == "The delegate GPU cannot run the model's operations ADD, UNPACK."


@pytest.mark.parametrize(
    ("stderr", "kind", "text"),
    [
        (
            "ERROR: Can not open OpenCL library on this device\nERROR: Failed to apply GPU delegate.",
            DeviceError,
            "The delegate GPU refuses the model: 'Can not open OpenCL library",
        ),
        ("ERROR: Disallowed CPU fallback detected.", ModelFileError, "measure without require_full_delegation"),
        (
            "ERROR: Failed to clEnqueueNDRangeKernel\nERROR: Node number 68 (LITERT_CL) failed to invoke",
            DeviceError,
            "The delegate LITERT_CL failed to invoke",
        ),
        (
            "ERROR: conv.cc:272 bias->type != input_type\nERROR: Node number 2 (CONV_2D) failed to prepare.",
            ModelFileError,
            "The model's operation CONV_2D failed to prepare",
        ),
        (
            "ERROR: Encountered unresolved custom op: MyOp.\nERROR: Node number 0 (MyOp) failed to prepare.",
            ModelFileError,
            "needs the custom operation MyOp, which",
        ),
        (
            "ERROR: Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'. An older version might be there.",
            ModelFileError,
            "operation FULLY_CONNECTED is of a version that this benchmark_model is too old for",
        ),
        (
            'CANNOT LINK EXECUTABLE "./benchmark_model": library "libX.so" not found',
            DeviceError,
            "lacks a library.*libX.so",
        ),
        (
            "./benchmark_model: error while loading shared libraries: libX.so: cannot open shared object file",
            DeviceError,
            "lacks a library: error while loading.*libX.so",
        ),
    ],
)
def test_failures_of_phones(stderr: str, kind: type[BenchError], text: str) -> None:
    error = _failed(stderr)
    assert type(error) is kind
    assert re.search(text, str(error))


@pytest.mark.parametrize("stderr", ["ERROR: \x1b[2J{0} %s {{", "ERROR: " + "x" * 10_000, "ERROR: a\x00b\u2028c"])
def test_messages_are_short_and_harmless(stderr: str) -> None:
    text = str(_failed(stderr))
    assert len(text) < 400 and text.isprintable()
