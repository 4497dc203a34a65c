"""Signals that end a program let it tidy up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from tflite_bench.signals import Terminated, in_order


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_is_an_exception_inside_the_block_only(number: signal.Signals, code: int) -> None:
    before = signal.getsignal(number)
    tidied = []
    with pytest.raises(Terminated) as caught, in_order():
        try:
            os.kill(os.getpid(), number)
        finally:
            tidied.append(True)
    assert caught.value.exit_code == code
    assert isinstance(caught.value, KeyboardInterrupt)
    assert tidied == [True]
    assert signal.getsignal(number) is before


def test_a_second_signal_ends_the_process_at_once() -> None:
    code = (
        "import os, signal, time\nfrom tflite_bench.signals import in_order\n"
        "with in_order():\n"
        "    try: os.kill(os.getpid(), signal.SIGTERM)\n"
        "    finally: os.kill(os.getpid(), signal.SIGTERM); time.sleep(60)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGTERM


def test_what_is_ignored_stays_ignored() -> None:
    # As nohup does it.
    code = (
        "import os, signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from tflite_bench.signals import in_order\n"
        "with in_order(): os.kill(os.getpid(), signal.SIGHUP); print('alive')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "alive\n", done.stderr


def test_other_threads_may_use_it_too() -> None:
    seen = []

    def work() -> None:
        with in_order():
            seen.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True]
