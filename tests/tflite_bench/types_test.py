from __future__ import annotations

import dataclasses
import json
import math

import pytest

from tflite_bench.bench_options import BenchOptions
from tflite_bench.errors import BenchError, OptionsError
from tflite_bench.statistics.block import Block
from tflite_bench.types import DeviceInfo, Measurement, Verdict

DEVICE = DeviceInfo("host", "Some CPU", "x86_64", "Linux 6.1", 2, "LiteRT", "2.3.0")
MEASUREMENT = Measurement(
    model_name="a.tflite",
    model_sha256="0" * 64,
    model_size_bytes=1000,
    median_ms=2.0,
    p90_ms=2.8,
    min_ms=1.0,
    max_ms=3.0,
    mean_ms=2.0,
    std_ms=0.8,
    num_runs=3,
    median_low_ms=1.0,
    median_high_ms=3.0,
    init_ms=5.0,
    first_inference_ms=4.0,
    peak_memory_mb=None,
    verdict=Verdict.NOISY,
    reason="Only 3 runs.",
    device=DEVICE,
    options=BenchOptions(threads=2),
    started_at="2026-01-01T00:00:00+00:00",
    blocks=(Block.of_times([1.0, 2.0]), Block.of_times([3.0])),
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threads", 0),
        ("threads", -1),
        ("threads", True),
        ("threads", 1.0),
        ("threads", 100_000),
        ("num_runs", 0),
        ("num_runs", "5"),
        ("warmup_runs", -1),
        ("seed", -1),
        ("min_secs", -0.1),
        ("min_secs", math.nan),
        ("min_secs", "1"),
        ("warmup_min_secs", math.inf),
        ("max_secs", None),
        ("max_secs", -1.0),
    ],
)
def test_an_option_out_of_range_is_an_error_that_names_it(name: str, value: object) -> None:
    with pytest.raises(OptionsError, match=f"Expected {name} .*Received: {name}="):
        BenchOptions(**{name: value})


@pytest.mark.parametrize("name", ["min_secs", "warmup_min_secs"])
def test_a_bound_below_the_least_time_is_an_error(name: str) -> None:
    with pytest.raises(OptionsError, match=r"Expected max_secs above 0 and not below .*\(2\)"):
        BenchOptions(**{"min_secs": 0.0, "warmup_min_secs": 0.0, "max_secs": 1.0, name: 2.0})
    with pytest.raises(OptionsError, match="max_secs above 0"):
        BenchOptions(min_secs=0, warmup_min_secs=0, max_secs=0)


def test_an_options_error_is_a_bench_error_and_a_value_error() -> None:
    with pytest.raises(ValueError, match="threads"):
        BenchOptions(threads=0)
    with pytest.raises(BenchError, match="threads"):
        BenchOptions(threads=0)


@pytest.mark.parametrize("with_blocks", [False, True])
def test_a_measurement_survives_json(with_blocks: bool) -> None:
    data = json.loads(json.dumps(MEASUREMENT.to_json(with_blocks=with_blocks), allow_nan=False))
    expected = MEASUREMENT if with_blocks else dataclasses.replace(MEASUREMENT, blocks=())
    assert Measurement.from_json(data) == expected


def test_json_of_options_and_device_round_trips() -> None:
    options = BenchOptions(threads=3, num_runs=7, min_secs=0.5)
    assert BenchOptions.from_json(json.loads(json.dumps(options.to_json()))) == options
    assert DeviceInfo.from_json(json.loads(json.dumps(DEVICE.to_json()))) == DEVICE


def test_damaged_json_is_an_error_that_names_the_fields() -> None:
    data = MEASUREMENT.to_json()
    del data["median_ms"]
    with pytest.raises(BenchError, match=r"missing fields \['median_ms'\], unknown fields \[\]"):
        Measurement.from_json(data)
    with pytest.raises(BenchError, match=r"unknown fields \['speed'\]"):
        Measurement.from_json({**MEASUREMENT.to_json(), "speed": 1})
    with pytest.raises(BenchError, match="Expected a verdict among OK, NOISY"):
        Measurement.from_json({**MEASUREMENT.to_json(), "verdict": "FINE"})


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(DeviceInfo)])
def test_the_fingerprint_depends_on_every_field_but_the_serial(field: str) -> None:
    other = 3 if field == "cores" else "other"
    changed = dataclasses.replace(DEVICE, **{field: other})
    assert (changed.fingerprint == DEVICE.fingerprint) == (field == "serial")
    assert dataclasses.replace(DEVICE).fingerprint == DEVICE.fingerprint
