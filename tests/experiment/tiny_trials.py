"""Train functions that cost nothing, in a module that workers can import."""

import os
import signal

import numpy as np

CALLS = []


def note_call(seed, **arguments):
    """Remembers its arguments, in this process."""
    CALLS.append({"seed": seed, **arguments})
    return {"score": 0.0}


def score_by_seed(seed, gain=0.0, scale=1.0, size=1):
    """A noisy score, the same noise for each variant of a seed."""
    noise = np.random.RandomState(seed).normal()
    score = scale * size + noise + gain
    return {"score": score, "third": score / 3, "curves": {"loss": [score, 1]}}


def return_as(seed, kind):
    """Returns what a good trial returns, or something else, or raises."""
    if kind == "raises" and seed == 1:
        raise RuntimeError("the oven\nis cold")
    if kind == "interrupts itself":
        raise SystemExit("enough")
    if kind == "another key" and seed == 1:
        return {"scroe": 2.5}
    return {
        "good": {"score": 1.5, "curves": {"loss": [2, 1.0]}},
        "raises": {"score": 2.5},
        "another key": {"score": 2.5},
        "two scores": {"score": 1.5, "more": 1.5},
        "none": None,
        "nan": {"score": float("nan")},
        "inf": {"score": float("-inf")},
        "number": 1.5,
        "list": [1.5],
        "text": {"score": "high"},
        "digits as text": {"score": "1.5"},
        "no number": {"score": None},
        "several": {"score": [1.5, 2.5]},
        "curve of text": {"score": 1.5, "curves": {"loss": "falling"}},
        "curve as a number": {"score": 1.5, "curves": {"loss": 1.5}},
        "curves as a list": {"score": 1.5, "curves": [1.5]},
        "numpy": {"score": np.float32(1.5), "curves": {"loss": np.ones(2)}},
        "integer": {"score": np.int64(3), "curves": {}},
        "array of one": {"score": np.array(1.5)},
        "bool": {"score": True},
        "numpy bool": {"score": np.bool_(False)},
    }[kind]


def report_process(seed):
    """The process that the trial runs in, as a score."""
    return {"process": os.getpid()}


def succeed_or_not(seed, often=1):
    """1 in the seeds below `often`, else 0."""
    return {"won": seed < often}


def die_once(seed, marker):
    """Ends its own process the first time that seed 1 comes to it."""
    if seed == 1 and not os.path.exists(marker):
        with open(marker, "w") as file:
            file.write(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return score_by_seed(seed)
