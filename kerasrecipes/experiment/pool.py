"""Runs trials: one engine thread each, in this process or in several."""

import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable

import joblib
from joblib.externals.loky import get_reusable_executor
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from kerasrecipes.engine import (
    deaf_to_ctrl_c,
    default_jobs,
    engine,
    load_engine,
    prepare_engine,
)

# What starting a worker costs: it imports the engine.
WORKER_SECONDS = 5.0
# Deaths of the pool without any progress, before the guilty trial is sought.
LIVES = 2
DIED = {"error": "its worker process died (out of memory?)", "traceback": ""}


def run_one(function: Callable, arguments: dict) -> dict:
    """Runs one trial and returns its scores, or what went wrong.

    Args:
        function: returns a dict of scores (finite numbers) and, under
            "curves", of lists of numbers.
        arguments: what it is called with.

    Returns:
        A dict with "scores", "curves" and "seconds", or with "error" (one
        line) and "traceback".
    """
    import keras

    # What an earlier trial left behind must not reach this one.
    keras.utils.clear_session(free_memory=False)
    start = time.perf_counter()
    try:
        with threadpool_limits(1):
            result = function(**arguments)
        scores, curves = check_result(result)
    except (Exception, SystemExit) as error:  # the other trials go on
        return {
            "error": f"{type(error).__name__}: {error}".splitlines()[0],
            "traceback": traceback.format_exc(),
        }
    seconds = round(time.perf_counter() - start, 3)
    return {"scores": scores, "curves": curves, "seconds": seconds}


def check_result(result) -> tuple[dict, dict]:
    """Splits what a trial returned into scores and curves.

    Raises:
        ValueError: where it is not a dict of finite numbers, and of lists
            of numbers under "curves".
    """
    if not isinstance(result, dict):
        raise ValueError(
            "expected the trial to return a dict of scores. "
            f"Received: {type(result).__name__}"
        )
    scores = {name: v for name, v in result.items() if name != "curves"}
    for name, value in scores.items():
        try:
            scores[name] = float(value + 0)  # text has no sum with 0
        except (TypeError, ValueError):
            raise ValueError(
                f"expected score {name!r} to be a number. Received: {value!r}"
            ) from None
        if scores[name] - scores[name] != 0:  # infinite or not a number
            raise ValueError(
                f"expected score {name!r} to be finite. Received: {value}"
            )
    # Six digits serve a picture, and keep recorded files small.
    curves = {
        name: [float(f"{float(value):.6g}") for value in values]
        for name, values in result.get("curves", {}).items()
    }
    return scores, curves


def _start_worker(parent: int) -> None:
    """Loads the engine in a new worker and ties its life to its parent's."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if sys.platform != "win32":  # there a dead parent's number stays
        threading.Thread(target=watch, daemon=True).start()
    prepare_engine()
    load_engine()


def _ignore_loky(failed) -> None:
    """Keeps loky's thread silent where an interrupt took its queue away."""
    name = failed.thread and failed.thread.name
    if (name, failed.exc_type) != ("ExecutorManagerThread", KeyError):
        threading.__excepthook__(failed)


def _run_numbered(number: int, function: Callable, arguments: dict):
    return number, run_one(function, arguments)


def _run_beside(backend: str, *trial):
    """Runs a numbered trial in a process beside a Dask worker.

    The worker's own threads draw from Python's random numbers now and then,
    and so would change what a network starts with.
    """
    executor = get_reusable_executor(
        max_workers=1,
        initializer=_start_worker,
        initargs=(os.getpid(),),
        env={"KERAS_BACKEND": backend},
    )
    try:
        return executor.submit(_run_numbered, *trial).result()
    except TerminatedWorkerError:
        return trial[0], DIED


def run_on_cluster(
    function: Callable, tasks: list[dict]
) -> Iterable[tuple[int, dict]]:
    """Runs `function` once for each task, on the Dask cluster of this process.

    A worker that is lost costs no trial: Dask gives its work to another one.

    Args:
        function: see `run_one`.
        tasks: the arguments of each call.

    Yields:
        The task's number and its result, in the order in which they end.
    """
    with joblib.parallel_config("dask"):
        pool = joblib.Parallel(
            -1,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="all",
        )
        ended = pool(
            joblib.delayed(_run_beside)(engine(), number, function, arguments)
            for number, arguments in enumerate(tasks)
        )
    yield from ended


def run_many(
    function: Callable, tasks: list[dict], jobs: int | None
) -> Iterable[tuple[int, dict]]:
    """Runs `function` once for each task.

    Args:
        function: see `run_one`.
        tasks: the arguments of each call.
        jobs: number of processes. By default the first trial runs here, and
            the others in as many as the machine allows if that pays.

    Yields:
        The task's number and its result, in the order in which they end.
    """
    waiting = dict(enumerate(tasks))
    if jobs is None and waiting:
        start = time.perf_counter()
        yield 0, run_one(function, waiting.pop(0))
        left = (time.perf_counter() - start) * len(waiting)
        jobs = min(default_jobs(), len(waiting))
        if jobs > 1 and left * (1 - 1 / jobs) < WORKER_SECONDS + 2:
            jobs = 1
    if jobs == 1 or len(waiting) < 2:
        for number, arguments in waiting.items():
            yield number, run_one(function, arguments)
        return
    threading.excepthook = _ignore_loky
    lives = LIVES
    while waiting:
        # One dead worker takes the pool with it, and the rest is planned
        # anew; where that does not help, one by one shows who kills it.
        batch = list(waiting.items())[: len(waiting) if lives else 1]
        pool = joblib.Parallel(
            jobs,
            return_as="generator_unordered",
            batch_size=1,
            pre_dispatch="all",
            initializer=_start_worker,
            initargs=(os.getpid(),),
        )
        with deaf_to_ctrl_c():
            ended = pool(
                joblib.delayed(_run_numbered)(number, function, arguments)
                for number, arguments in batch
            )
        try:
            for number, result in ended:
                waiting.pop(number)
                lives = LIVES
                yield number, result
        except TerminatedWorkerError:
            lives -= 1
            if lives < 0:
                number, lives = batch[0][0], LIVES
                waiting.pop(number)
                yield number, DIED
        finally:
            ended.close()  # ends the workers where something went wrong
