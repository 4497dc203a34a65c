"""A phone to play with: ``python -m tests.phone`` until Ctrl-C.

Prints what to type in another terminal. It uses the computer's usual adb server, so that phone and real ones can be
seen beside each other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.phone import Bench, Hardware, Phone, write_benchmark_model
from tests.phone.bench_flags import LITERT, TFLITE


def main() -> None:
    """Runs a phone until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.phone", description="A phone made of software.")
    parser.add_argument("--model", default=Hardware.model, help="what the phone is called")
    parser.add_argument("--latency_ms", type=float, help="of one inference (by default LiteRT really runs the model)")
    parser.add_argument("--flavour", choices=(TFLITE, LITERT), default=TFLITE, help="which benchmark_model it runs")
    given = parser.parse_args()
    latency_us = None if given.latency_ms is None else 1000 * given.latency_ms
    bench = Bench(latency_us=latency_us, time_scale=1.0)
    with tempfile.TemporaryDirectory() as folder, Phone(Hardware(model=given.model), bench=bench) as phone:
        program = write_benchmark_model(Path(folder), given.flavour)
        device = f"--device=adb:{phone.serial} --benchmark_model=arm64-v8a={program}"
        print(f"adb connect {phone.serial}\ntflite-bench run MODEL.tflite {device}", flush=True)
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
