"""Says on stderr how far the trials are: a bar, or lines in a pipe."""

import contextlib
import sys
import time


class Progress:
    """Counts finished trials without showing anything.

    Attributes:
        done: finished trials of all runs so far.
        total: trials planned so far.
    """

    def __init__(self):
        self.done = self.total = 0

    @contextlib.contextmanager
    def of(self, name: str, total: int, done: int):
        """Counts the trials of one `run_trials`, some done already."""
        self.total += total
        self.done += done
        yield

    def advance(self) -> None:
        """Counts one more finished trial."""
        self.done += 1


class Bar(Progress):
    """A progress bar with trials done and time left, for a terminal."""

    @contextlib.contextmanager
    def of(self, name, total, done):
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            TextColumn,
            TimeRemainingColumn,
        )
        from rich.progress import Progress as RichProgress

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("trials, left"),
            TimeRemainingColumn(),
        )
        with (
            super().of(name, total, done),
            RichProgress(*columns, console=Console(stderr=True)) as self._bar,
        ):
            self._task = self._bar.add_task(name, total=total, completed=done)
            yield

    def advance(self):
        super().advance()
        self._bar.advance(self._task)


class Lines(Progress):
    """A plain line now and then, for a pipe or a log file."""

    every = 10.0  # seconds

    @contextlib.contextmanager
    def of(self, name, total, done):
        self._name, self._goal, self._count = name, total, done
        self._new, self._start = 0, time.monotonic()
        self._said = self._start
        with super().of(name, total, done):
            if total:
                print(f"{name}: {done} of {total} trials done", file=sys.stderr)
            yield

    def advance(self):
        super().advance()
        self._count += 1
        self._new += 1
        now = time.monotonic()
        if now - self._said >= self.every or self._count == self._goal:
            self._said = now
            left = (self._goal - self._count) * (now - self._start) / self._new
            print(
                f"{self._name}: {self._count} of {self._goal} trials done, "
                f"about {left:.0f} s left",
                file=sys.stderr,
            )
