"""Measurements that run ahead on a pool, while this thread converts the next file or does something else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import TracebackType
from typing import Any, Self

import tflite_bench
from tflite_bench.measure.jobs import Workers

Found = tuple[str, dict[str, Any]]


class Ahead:
    """Jobs by key, each of them run by the first device of a pool that is free.

    Results are handed out in the thread that asks for them. A context manager: leaving it interrupts the device for the
    sake of jobs that nobody waited for; what is done by then can still be had.
    """

    def __init__(self, device: tflite_bench.Device) -> None:
        self._workers = Workers(device)
        self._futures: dict[str, Future[dict[str, Any]]] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._futures

    def submit(self, key: str, job: Callable[[tflite_bench.Device], dict[str, Any]]) -> None:
        """Begins ``job`` as soon as a device is free."""
        self._futures[key] = self._workers.submit(job)

    def finished(self, until: str | None = None) -> Iterator[Found]:
        """Yields key and result of every job that is done, each once, in the order in which they were submitted.

        Args:
            until: key of a job to wait for; what others are done meanwhile is handed out first.

        Raises:
            BenchError: what a job raised, when all that succeeded were handed out.
        """
        failure: BaseException | None = None
        while True:
            for key, future in list(self._futures.items()):
                if not future.done():
                    continue
                del self._futures[key]
                error = None if future.cancelled() else future.exception()
                if error is not None:
                    failure = failure or error
                elif not future.cancelled():
                    yield key, future.result()
            if failure is not None:
                raise failure
            if until not in self._futures:
                return
            wait(self._futures.values(), return_when=FIRST_COMPLETED)

    def wait_for_one(self) -> None:
        """Waits until any job is done, where there is one."""
        if self._futures:
            wait(self._futures.values(), return_when=FIRST_COMPLETED)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if any(not future.done() for future in self._futures.values()):
            self._workers.interrupt()
        self._workers.close()
