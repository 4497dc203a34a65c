"""A phone made of software, for the real adb client.

    with AdbServer() as server, server.used(), Phone(Hardware(model="Pixel 8"), bench=Bench(latency_us=2000)) as phone:
        server.connect(phone)
        program = write_benchmark_model(tmp_path)
        phone.at_benchmark(3, phone.cut)  # the cable is out in the middle of the third call
        ...  # --device=adb:{phone.serial} --benchmark_model=arm64-v8a={program}
        assert phone.changes() == {} and phone.processes == []

`Phone` is a daemon in this process that speaks adb's transport over TCP; `Faults` lists what can be wrong with it, and
``phone.set(...)`` switches that while it runs. Commands run in the real /bin/sh with Android's own programs first on
PATH (`programs`), in a temporary folder that the phone's absolute paths lead into (`tree`). ``benchmark_model``
(`bench`) takes a simulated time or really runs the model with LiteRT, and prints what the genuine program prints.
`AdbServer` is an adb server with a port and a HOME of its own.

By hand: ``python -m tests.phone``. TEST_ADB=PATH names another adb client for the tests.
"""

from tests.phone.adb_server import AdbServer
from tests.phone.bench import Bench, write_benchmark_model
from tests.phone.bench_tool import Delegates
from tests.phone.faults import Faults, Throttle
from tests.phone.hardware import Cluster, Hardware
from tests.phone.phone import Phone

__all__ = [
    "AdbServer",
    "Bench",
    "Cluster",
    "Delegates",
    "Faults",
    "Hardware",
    "Phone",
    "Throttle",
    "write_benchmark_model",
]
