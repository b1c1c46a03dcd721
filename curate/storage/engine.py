"""Maps a pure function over batches: threads and processes of this machine.

The one seam between the stages and how their work is spread: the result, to the digest, is the same for each engine and
number of workers. Threads are the default because Pillow and NumPy let go of the interpreter while they work.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from typing import TypeVar

from curate.storage.files import Problem

Task = TypeVar("Task")
Result = TypeVar("Result")
ENGINES = ("threads", "processes")


def map_batches(
    function: Callable[[Task], Result], batches: Iterable[Task], workers: int | None = None, engine: str = "threads"
) -> Generator[Result, None, None]:
    """Yield ``function(batch)`` for each batch, in their order, a few batches ahead of the reader.

    ``workers`` defaults to the processors this process may use. For processes, ``function`` must be picklable.
    """
    count = workers or available_processors()
    waiting: deque[Future[Result]] = deque()
    pool = _pool(engine, count)
    try:
        for batch in batches:
            waiting.append(pool.submit(function, batch))
            if len(waiting) > 2 * count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def batched(rows: Sequence[Task], size: int) -> list[Sequence[Task]]:
    """Return ``rows`` cut into consecutive batches of at most ``size``.

    >>> batched([1, 2, 3], 2)
    [[1, 2], [3]]
    """
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def available_processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _pool(engine: str, workers: int) -> Executor:
    if engine not in ENGINES:
        raise Problem(f"Expected an engine ({', '.join(ENGINES)}), found {engine!r}.")
    if engine == "processes":
        # Forking a process that already runs threads (torch, Arrow) can deadlock: start fresh ones.
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    return ThreadPoolExecutor(workers)
