"""`BinaryModel` over a tool that is a Python function."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

import pytest

from tests.tflite_bench.benchmark_model.captured import output
from tests.tflite_bench.benchmark_model.stand_in import write_model
from tflite_bench.bench_options import BenchOptions
from tflite_bench.benchmark_model.lines import LITERT, TFLITE
from tflite_bench.benchmark_model.loaded import BLOCK_WARMUP_SECS, BinaryModel, Finished
from tflite_bench.errors import DeviceError, DeviceLostError, ModelFileError, OptionsError, OutputError
from tflite_bench.model_file import ModelFile, read_model_file


class FakeTool:
    """Answers as a program of one flavour, with inferences of ``inference_us``."""

    def __init__(
        self, flavour: str = TFLITE, *, inference_us: int = 2_000, extra: Sequence[str] = (), hang_secs: float = 60
    ) -> None:
        self.model, self.result_file, self.hang_secs, self.stale_reason = (
            "/data/local/tmp/m.tflite",
            None,
            hang_secs,
            "",
        )
        self.flavour = flavour
        self.inference_us = inference_us
        self.extra = extra
        self.calls: list[list[str]] = []
        self.limits: list[float] = []
        self.closed = 0
        self.error: Exception | None = None

    def execute(self, arguments: Sequence[str], limit_secs: float) -> Finished:
        self.calls.append(list(arguments))
        self.limits.append(limit_secs)
        if self.error is not None:
            raise self.error
        flags = dict(argument[2:].split("=", 1) for argument in arguments)
        other = {"use_xnnpack", "use_nnapi"} if self.flavour == LITERT else {"use_cpu"}
        unknown = [f"--{name}={flags[name]}" for name in flags if name in other]
        extra = [*([f"WARN: Unconsumed cmdline flags: {' '.join(unknown)}"] if unknown else []), *self.extra]
        count = max(int(flags["num_runs"]), 1)
        stdout, stderr = output(
            [self.inference_us] * count,
            [self.inference_us * 2] * max(int(flags["warmup_runs"]), 1),
            flavour=self.flavour,
            num_runs=int(flags["num_runs"]),
            min_secs=float(flags["min_secs"]),
            max_secs=float(flags["max_secs"]),
            extra=extra,
        )
        asked = f"at least {flags['warmup_runs']} iterations and at least {flags['warmup_min_secs']} seconds"
        return Finished(stdout.replace("at least 1 iterations and at least 0.5 seconds", asked, 1), stderr, 0)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def file(tmp_path: pathlib.Path) -> ModelFile:
    return read_model_file(write_model(tmp_path / "net.tflite"))


def test_loading_tells_what_starting_costs(file: ModelFile) -> None:
    fake = FakeTool()
    with BinaryModel(file, BenchOptions(), fake) as model:
        assert (model.startup.init_ms, model.startup.first_inference_ms, model.startup.peak_memory_mb) == (
            20,
            4,
            38.0312,
        )
        assert model.file is file and model.flavour == TFLITE
        assert len(fake.calls) == 1
        assert fake.calls[0][0] == "--graph=/data/local/tmp/m.tflite"
    assert fake.closed == 1
    model.close()
    assert fake.closed == 1


@pytest.mark.parametrize(
    ("options", "warmup"),
    [
        (BenchOptions(), (1, BLOCK_WARMUP_SECS)),
        (BenchOptions(warmup_runs=9, warmup_min_secs=0.1), (9, 0.1)),
        (BenchOptions(warmup_runs=0, warmup_min_secs=0.0), (1, 0.0)),
    ],
)
def test_every_block_has_a_short_warm_up(file: ModelFile, options: BenchOptions, warmup: tuple[int, float]) -> None:
    fake = FakeTool()
    with BinaryModel(file, options, fake) as model:
        assert model.run(5, 0.0, 3.0).count == 5
    load, run = fake.calls
    assert f"--warmup_min_secs={options.warmup_min_secs:g}" in load
    assert {f"--warmup_runs={warmup[0]}", f"--warmup_min_secs={warmup[1]:g}", "--max_secs=3"} <= set(run)


def test_the_other_program_is_asked_again_in_its_own_flags(file: ModelFile) -> None:
    fake = FakeTool(LITERT)
    with BinaryModel(file, BenchOptions(), fake) as model:
        assert model.flavour == LITERT
        assert "--use_xnnpack=true" in fake.calls[0] and "--use_cpu=true" in fake.calls[1]
        model.run(5, 0.0, 1.0)
        assert len(fake.calls) == 3
        flavour = model.flavour
    fake = FakeTool(LITERT)
    BinaryModel(file, BenchOptions(), fake, flavour=flavour).close()
    assert len(fake.calls) == 1


def test_what_the_other_program_cannot_do_is_told(file: ModelFile) -> None:
    fake = FakeTool(LITERT)
    with pytest.raises(OptionsError, match="LiteRT's benchmark_model knows no other"):
        BinaryModel(file, BenchOptions(delegate="none"), fake)
    assert fake.closed == 1


def test_how_long_a_run_may_take_follows_from_the_model(file: ModelFile) -> None:
    fake = FakeTool(inference_us=50_000, hang_secs=7)  # the warm-up takes twice as long, which is what counts
    with BinaryModel(file, BenchOptions(warmup_min_secs=0.5), fake) as model:
        assert fake.limits == [7.5]
        model.run(100, 1.0, 150.0)
        init, warmup, timed, last = 0.02, 0.2, 100 * 0.1, 2 * 0.1
        assert fake.limits[1] == pytest.approx(4 * (init + warmup + timed + last) + 7)
        model.run(1000, 1.0, 30.0)
        assert fake.limits[2] == pytest.approx(4 * (init + warmup + 30 + last) + 7)
    fake = FakeTool(hang_secs=7)
    BinaryModel(file, BenchOptions(warmup_runs=50, max_secs=20), fake).close()
    assert fake.limits == [27.0]  # nothing tells yet how long 50 inferences take


@pytest.mark.parametrize("error", [DeviceLostError("gone"), DeviceError("hung"), KeyboardInterrupt()])
def test_what_goes_wrong_with_the_tool_is_passed_on(file: ModelFile, error: Exception) -> None:
    fake = FakeTool()
    model = BinaryModel(file, BenchOptions(), fake)
    fake.error = error
    with pytest.raises(type(error)):
        model.run(5, 0.0, 1.0)
    assert fake.closed == 0  # after a lost device the block is run again
    fake.error = None
    assert model.run(5, 0.0, 1.0).count == 5
    fake.error = error
    with pytest.raises(type(error)):
        BinaryModel(file, BenchOptions(), fake)
    assert fake.closed == 1


def test_a_model_error_names_the_file(file: ModelFile) -> None:
    class Refuses(FakeTool):
        def execute(self, arguments: Sequence[str], limit_secs: float) -> Finished:
            return Finished("INFO: Loaded model m\n", "ERROR: Encountered unresolved custom op: Foo.\n", 1)

    with pytest.raises(ModelFileError, match=r"Cannot run .*net\.tflite: The model needs the custom operation Foo"):
        BinaryModel(file, BenchOptions(), Refuses())


def test_a_program_without_warm_up_is_refused(file: ModelFile) -> None:
    class Idle(FakeTool):
        def execute(self, arguments: Sequence[str], limit_secs: float) -> Finished:
            return Finished(*output([5_000], [], num_runs=1, min_secs=0.0), 0)

    with pytest.raises(OutputError, match="warm-up of at least one inference"):
        BinaryModel(file, BenchOptions(), Idle())


def test_opengl_in_place_of_opencl_is_told(file: ModelFile, capsys: pytest.CaptureFixture[str]) -> None:
    applied = "INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate."
    fake = FakeTool(extra=["ERROR: Falling back to OpenGL", "INFO: Initialized OpenGL-based API.", applied])
    BinaryModel(file, BenchOptions(delegate="gpu"), fake).close()
    assert "net.tflite: the GPU delegate runs with OpenGL" in capsys.readouterr().err


def test_a_program_that_does_not_profile_is_refused(file: ModelFile) -> None:
    model = BinaryModel(file, BenchOptions(), FakeTool())
    with model, pytest.raises(OutputError, match="Expected tables of the operators' times"):
        model.profile()
