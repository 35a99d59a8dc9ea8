"""Two ways of doing one thing, timed in turn."""

import gc
import json
import time

import numpy as np

REPETITIONS = 20
# A timing is as many calls as this takes: far above the clock's grain.
SECONDS_PER_TIMING = 0.02


def seconds_of(function, calls):
    """Seconds of one call, the mean over some calls."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def time_in_turn(*functions, repetitions=REPETITIONS):
    """Times functions in turn, after two calls that compile and warm up.

    Args:
        *functions: called without arguments; each returns when its work is
            done.
        repetitions: number of timings of each.

    Returns:
        Seconds of a call, of shape `(repetitions, functions)`.
    """
    for function in functions:
        function()
    slowest = max(seconds_of(function, 1) for function in functions)
    calls = int(SECONDS_PER_TIMING / slowest) + 1
    gc.collect()
    gc.disable()  # a collection would fall on one of them
    try:
        return np.array(
            [
                [seconds_of(function, calls) for function in functions]
                for _ in range(repetitions)
            ]
        )
    finally:
        gc.enable()


def row(subject, peer, setting, seconds, backend=""):
    """One line of the table.

    Args:
        subject: what is ours.
        peer: what it is compared with.
        setting: sizes.
        seconds: of shape `(repetitions, 2)`, ours first.
        backend: Keras' backend, where one is loaded.
    """
    seconds = np.asarray(seconds)

    def quartiles(values):
        return [float(v) for v in np.quantile(values, [0.25, 0.5, 0.75])]

    return {
        "subject": subject,
        "peer": peer,
        "backend": backend,
        "setting": setting,
        "ours": quartiles(seconds[:, 0]),
        "theirs": quartiles(seconds[:, 1]),
        "ratio": quartiles(seconds[:, 0] / seconds[:, 1]),
        "repetitions": len(seconds),
    }


def curve(subject, over, setting, x, seconds, backend=""):
    """How a cost grows.

    Args:
        subject: what is timed.
        over: what grows.
        setting: what does not.
        x: sizes.
        seconds: of each size.
        backend: Keras' backend, where one is loaded.
    """
    slope = np.polyfit(np.log(x), np.log(seconds), 1)[0]
    return {
        "subject": subject,
        "over": over,
        "backend": backend,
        "setting": setting,
        "x": list(x),
        "seconds": [float(each) for each in seconds],
        "slope": float(slope),
    }


def tell(found):
    """Prints a row or a curve for `python -m benchmarks` to read."""
    print(json.dumps(found), flush=True)
