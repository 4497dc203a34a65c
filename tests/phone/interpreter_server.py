"""A process that has LiteRT loaded and forks for each model that the phones run, so that starting takes no time.

Run as ``python interpreter_server.py DESCRIPTOR``. On the descriptor's socket come jobs, each one end of a socket of
its own: in it come the arguments, and out of it what the program writes, how it ended and how often it inferred. A job
whose other end is closed dies at once.
"""

from __future__ import annotations

import contextlib
import marshal
import os
import resource
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence

from tests.phone.bench_profile import Operator
from tests.phone.bench_tool import Delegates, ModelRefused, Tool

_LONGEST = 1 << 18  # of a frame

# Kinds of frames.
OUT, ERR, EXIT, SIGNAL = range(4)


class LiteRtEngine:
    """Runs the model with the LiteRT interpreter.

    Args:
        slowness: how much longer inferences take than here: from how many inferences on, and by what factor.
    """

    def __init__(self, slowness: Sequence[tuple[int, float]]) -> None:
        self.operators: Sequence[Operator] = ()
        self.inferences = 0
        self._slowness = slowness

    @property
    def peak_mb(self) -> float:
        """The resident memory at its highest."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    @property
    def secs(self) -> float:
        """The time by this machine's clock."""
        return time.perf_counter()

    def load(self, path: str, threads: int, xnnpack: bool) -> int:
        """Loads the model and fills its inputs; returns the microseconds of the former."""
        import numpy as np
        from ai_edge_litert.interpreter import Interpreter, OpResolverType

        kind = OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        start = time.perf_counter_ns()
        try:
            self._interpreter = Interpreter(
                model_path=path, num_threads=max(threads, 1), experimental_op_resolver_type=kind
            )
            self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise ModelRefused([*str(error).splitlines(), "Failed to allocate tensors!"]) from error
        taken_us = (time.perf_counter_ns() - start) // 1000
        rng = np.random.default_rng(0)
        for detail in self._interpreter.get_input_details():
            values = rng.integers(0, 2, detail["shape"]).astype(detail["dtype"])
            self._interpreter.set_tensor(detail["index"], values)
        names = [op["op_name"] for op in self._interpreter._get_ops_details() if op["op_name"] != "DELEGATE"]
        self.operators = [Operator(name, f"[{name.lower()}]:{at}", 1.0) for at, name in enumerate(names)]
        return int(taken_us)

    def infer(self) -> int:
        """Infers once; returns the microseconds."""
        start = time.perf_counter_ns()
        self._interpreter.invoke()
        taken_us = (time.perf_counter_ns() - start) / 1000
        factor = 1.0
        for after, longer in self._slowness:
            factor = longer if self.inferences >= after else factor
        self.inferences += 1
        if factor > 1:
            time.sleep((factor - 1) * taken_us / 1e6)
        return int(factor * taken_us)


def _job(line: socket.socket) -> None:
    """Runs one program, in a process of its own."""
    flavour, folder, arguments, delegates, slowness = marshal.loads(line.recv(_LONGEST))
    threading.Thread(target=_die_with, args=(line,), daemon=True).start()
    engine = LiteRtEngine(slowness)

    def send(kind: int, value: str | tuple[int, int]) -> None:
        line.send(marshal.dumps((kind, value)))

    tool = Tool(flavour, folder, Delegates(*delegates), lambda text: send(OUT, text), lambda text: send(ERR, text))
    code = tool.run(arguments, engine)
    send(EXIT, (code, engine.inferences))


def _die_with(line: socket.socket) -> None:
    """Waits for the other end to be closed; nothing is sent through it after the arguments."""
    line.recv(1)
    os._exit(0)


def _fork(main: socket.socket, line: socket.socket) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        main.close()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 2)  # the runtime's own messages: the tool says what is to be said
        _job(line)
        code = 0
    finally:
        os._exit(code)


def _reap(jobs: dict[int, socket.socket]) -> None:
    for pid in list(jobs):
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            line = jobs.pop(pid)
            number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else signal.SIGABRT if status else 0
            with contextlib.suppress(OSError):
                if number:
                    line.send(marshal.dumps((SIGNAL, int(number))), socket.MSG_NOSIGNAL)
            line.close()


def main(descriptor: int) -> None:
    """Forks for each job until the other end of the descriptor's socket is closed."""
    # Before the first fork: what all models need. One thread, as threads do not outlive a fork.
    from tflite_bench.host.runtime import interpreter_class

    interpreter_class()
    line_of_parent = socket.socket(fileno=descriptor)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent decides
    jobs: dict[int, socket.socket] = {}
    while True:
        readable, _, _ = select.select([line_of_parent.fileno(), wake_read], [], [])
        if wake_read in readable:
            os.read(wake_read, 1 << 10)
            _reap(jobs)
        if line_of_parent.fileno() in readable:
            data, fds, _, _ = socket.recv_fds(line_of_parent, 1, 1)
            if not data:
                break
            job = socket.socket(fileno=fds[0])
            jobs[_fork(line_of_parent, job)] = job
    for pid in jobs:
        os.kill(pid, signal.SIGKILL)
    for pid in jobs:
        os.waitpid(pid, 0)


if __name__ == "__main__":
    main(int(sys.argv[1]))
