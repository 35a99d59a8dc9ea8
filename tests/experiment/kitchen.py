"""Recipes and processes for the tests that kill something."""

import os
import subprocess
import sys
import time
from pathlib import Path

import matplotlib

# Stands in for Keras where a test is about processes: it loads at once, in the
# run itself and in each of its workers, and the harness asks it nothing more.
LIGHT_KERAS = """
class utils:
    clear_session = staticmethod(lambda free_memory: None)
    set_random_seed = staticmethod(lambda seed: None)


class backend:
    backend = staticmethod(lambda: "tensorflow")


class distribution:
    list_devices = staticmethod(lambda kind: [])
"""

RECIPE = '''"""
Rolling dice
============

Dice from one to six, and loaded ones, rolled again and again.

:question: Do loaded dice roll higher?
:level: beginner
:notes: Deep Neural Nets Basics, Dropout layers in Keras and general
:backends: tensorflow
"""

import json
import os
import random
import signal
import time
from pathlib import Path

import keras  # noqa: F401

from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

VARIANTS = {"fair": {}, "loaded": {"least": 3}}
CONDITIONS = {"few": {"rolls": 3}, "many": {"rolls": 40}}
FULL = {"seeds": FULL_SEEDS}


def mentioned_in_a_journal(place):
    """Whether a journal holds this trial already."""
    folder = Path(os.environ["XDG_CACHE_HOME"], "kerasrecipes", "journals")
    text = "".join(path.read_text() for path in folder.glob("*.jsonl"))
    return f"{place[1:-1]}, {{}}".replace('"', '\\\\"') in text


def train(seed, rolls, least=1):
    """Notes that it runs, rolls for a moment, or ends its process."""
    place = [
        "loaded" if least > 1 else "fair",
        "few" if rolls < 9 else "many",
        seed,
    ]
    known = mentioned_in_a_journal(json.dumps(place))
    with open(os.environ["TRIAL_LOG"], "a") as log:
        log.write(json.dumps([*place, os.getpid(), known]) + "\\n")
    if json.dumps(place) == os.environ.get("DEADLY_TRIAL"):
        os.kill(os.getpid(), signal.SIGKILL)
    gate = os.environ.get("TRIAL_GATE")
    while gate and not os.path.exists(gate):
        time.sleep(0.02)
    time.sleep(float(os.environ.get("TRIAL_SECONDS", "0")))
    if json.dumps(place) == os.environ.get("RAISING_TRIAL"):
        raise RuntimeError("this die is cracked")
    dice = random.Random(seed)
    values = [dice.randint(least, 6) / 7 for _ in range(rolls)]
    return {"mean": sum(values) / rolls, "curves": {"value": values}}


def main(seeds: Count = 3) -> Report:
    """Rolls.

    Args:
        seeds: paired repetitions.
    """
    trials = run_trials(train, VARIANTS, CONDITIONS, seeds=seeds)
    return Report(
        trials.table("mean"),
        Claim(
            "Loaded dice roll higher",
            trials.is_higher("mean", "loaded", than="fair"),
            "Deep Neural Nets Basics, Dropout layers in Keras and general",
        ),
    )


if __name__ == "__main__":
    cook(main)
'''


def write_recipe(folder, seeds=3):
    """A recipe beside a stand-in for Keras; returns the recipe's path."""
    (folder / "keras.py").write_text(LIGHT_KERAS)
    path = folder / "dice.py"
    path.write_text(RECIPE.replace("FULL_SEEDS", str(seeds)))
    return path


def defaults(folder):
    """Environment variables of a recipe in this folder."""
    return {
        "XDG_CACHE_HOME": str(folder / "cache"),
        "TRIAL_LOG": str(folder / "log.txt"),
        # Not in that empty cache: it takes seconds to find all fonts.
        "MPLCONFIGDIR": matplotlib.get_cachedir(),
    }


def start(path, *options, **variables):
    """Starts a recipe in a session of its own, as a shell would.

    Its standard output and error go to files beside it, `out.txt` and
    `err.txt`.
    """
    folder = path.parent
    words = [sys.executable, path, "--out", folder / "report", *options]
    with (
        open(folder / "out.txt", "w") as out,
        open(folder / "err.txt", "w") as err,
    ):
        return subprocess.Popen(
            words,
            cwd=folder,
            env={**os.environ, **defaults(folder), **variables},
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def errors(path):
    """What a recipe that was started printed to stderr."""
    return (path.parent / "err.txt").read_text()


def commands(process):
    """Command lines by process id of the living members of a session."""
    found = {}
    for number in members(process):
        try:
            found[number] = Path(f"/proc/{number}/cmdline").read_text()
        except OSError:  # it has ended meanwhile
            continue
    return found


def workers(process):
    """Ids of the worker processes of a run."""
    return [
        number
        for number, command in commands(process).items()
        if "popen_loky_posix" in command
    ]


def members(process):
    """Ids of the living processes of a session that `start` began."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:  # it has ended meanwhile
            continue
        state, _, _, session = text.rpartition(")")[2].split()[:4]
        if int(session) == process.pid and state != "Z":
            found.append(int(entry.name))
    return found


def wait_until(condition, seconds=60.0):
    """Waits for a condition; returns whether it came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def lines(path):
    """The lines of a file that may not be there yet."""
    return path.read_text().splitlines() if path.exists() else []
