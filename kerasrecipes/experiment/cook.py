"""The last line of a recipe's file: its own command line."""

import sys
from collections.abc import Callable
from pathlib import Path

from kerasrecipes.experiment.report import Report


def cook(main: Callable[..., Report]) -> None:
    """Runs a recipe's `main` with the options of the command line, and ends.

    It lets `python recipes/chapter/topic.py` do the same as `kerasrecipes run
    topic`.

    Args:
        main: the recipe's `main`.
    """
    from kerasrecipes.engine import leave
    from kerasrecipes.options import guarded
    from kerasrecipes.running import run_script

    path = Path(main.__code__.co_filename)
    leave(guarded(run_script, main, path, sys.argv[1:]))
