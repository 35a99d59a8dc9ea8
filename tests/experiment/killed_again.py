"""Runs a recipe in a child process, kills it at a random moment, and again.

    python killed_again.py FOLDER KILLS

FOLDER holds `dice.py` and the stand-in for Keras of `kitchen.write_recipe`.
Prints what was seen, as JSON. A fork starts in no time, where a new process
would import the harness first.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from kerasrecipes.catalogue import read_recipe
from kerasrecipes.experiment.trials import Session
from kerasrecipes.progress import Progress
from kerasrecipes.running import follow, journal_of


class Saying(Progress):
    """Appends a line to a file for each trial that counts as done."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def advance(self):
        super().advance()
        with open(self.path, "a") as file:
            file.write("done\n")


def results(session):
    return [
        {part: trial[part] for part in trial if part != "seconds"}
        for trial in session.runs[0]["trials"]
    ]


def count_whole_lines(paths):
    """Lines that hold something and were written to their end."""
    contents = [path.read_bytes().rpartition(b"\n")[0] for path in paths]
    return sum(bool(line) for text in contents for line in text.split(b"\n"))


def wait_for_trials(log, number):
    """Waits until so many more trials have begun, or for a second."""
    goal = count_whole_lines([log]) + number
    end = time.monotonic() + 1.0
    while count_whole_lines([log]) < goal and time.monotonic() < end:
        time.sleep(0.001)


def main(folder, kills):
    sys.path.insert(0, str(folder))
    import dice

    recipe = read_recipe(folder / "dice.py")
    settings = {"seeds": 30}
    said = folder / "done.txt"
    said.touch()
    journals = Path(os.environ["XDG_CACHE_HOME"], "kerasrecipes", "journals")
    undisturbed = Session(jobs=1)
    follow(dice.main, settings, undisturbed)
    log = Path(os.environ["TRIAL_LOG"])
    log.write_text("")

    generator = np.random.RandomState(0)
    seen = []
    for number in range(kills + 1):
        child = os.fork()
        if child == 0:
            session = Session(jobs=1, progress=Saying(said))
            with journal_of(session, recipe, settings):
                follow(dice.main, settings, session)
            (folder / "results.json").write_text(json.dumps(results(session)))
            os._exit(0)
        if number < kills:
            wait_for_trials(log, generator.randint(0, 6))
            time.sleep(generator.uniform(0.0, 0.015))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        finished = count_whole_lines([said])
        kept = count_whole_lines(journals.glob("*.jsonl"))
        seen.append([os.waitstatus_to_exitcode(status), finished, kept])
        if status == 0:  # on a busy machine it may end before its kill
            break
    print(
        json.dumps(
            {
                "undisturbed": results(undisturbed),
                "final": json.loads((folder / "results.json").read_text()),
                "seen": seen,
                "journals left": len(list(journals.iterdir())),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
