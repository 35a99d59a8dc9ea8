"""Files that are written whole or not at all."""

import os
import tempfile
from pathlib import Path

from kerasrecipes.options import UsageError


def write_file(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_bytes(content)
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Makes a folder, and makes sure of it before hours of training."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise cannot_write(folder, error) from None


def cannot_write(folder: Path, error: OSError) -> UsageError:
    """The error for a folder that takes no file."""
    return UsageError(f"Cannot write to {folder}: {error.strerror or error}.")
