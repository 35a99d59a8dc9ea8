"""A file that keeps each finished trial, so that a killed run can go on."""

import contextlib
import json
import os
import zlib
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class Journal:
    """Finished trials by key, in a file with one line each.

    A line is a checksum and the trial as JSON; it is on disk before the next
    trial is counted as done. A damaged line costs that line alone. One
    process writes at a time: `open` refuses a journal that is in use.

    Args:
        path: the file; its folder is made where it does not exist.

    Raises:
        BlockingIOError: where another process is writing it.
        OSError: where it cannot be written.
    """

    def __init__(self, path: Path):
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._file = open(self.path, "a+b")  # noqa: SIM115 (closed in close)
        if fcntl:
            try:
                # The lock goes when its holder dies, however it dies.
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self._file.close()
                raise
        self.trials = self._read()

    def _read(self) -> dict[str, dict]:
        self._file.seek(0)
        text = self._file.read()
        # A line torn by a kill must not glue itself to the next one.
        whole = text[: text.rfind(b"\n") + 1]
        if whole != text:
            self._file.truncate(len(whole))
        trials = {}
        for line in whole.splitlines():
            checksum, _, body = line.partition(b" ")
            with contextlib.suppress(ValueError):
                if int(checksum, 16) == zlib.crc32(body):
                    entry = json.loads(body)
                    trials[entry["key"]] = entry["trial"]
        return trials

    def add(self, key: str, trial: dict) -> None:
        """Writes a finished trial and waits until it is on disk."""
        body = json.dumps({"key": key, "trial": trial}).encode()
        # Two line breaks: a damaged one does not glue two trials together.
        self._file.write(b"%08x %b\n\n" % (zlib.crc32(body), body))
        self._file.flush()
        os.fsync(self._file.fileno())
        self.trials[key] = trial

    def close(self, *, discard: bool) -> None:
        """Ends writing; `discard` removes the file (the run succeeded)."""
        if discard:
            self.path.unlink(missing_ok=True)
        self._file.close()
