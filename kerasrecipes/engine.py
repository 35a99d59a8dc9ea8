"""The engine under Keras: its settings, its silence, what machine it is on."""

import contextlib
import gc
import logging
import os
import platform
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

# What a worker process holds in memory once it has loaded an engine.
WORKER_BYTES = 1.2e9


def cache_folder() -> Path:
    """The user's cache folder for journals, by the system's custom."""
    home = Path.home()
    default = home / ".cache"
    if sys.platform == "win32":
        default = Path(os.environ.get("LOCALAPPDATA", home))
    elif sys.platform == "darwin":
        default = home / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or default) / "kerasrecipes"


def prepare_engine() -> None:
    """Sets what an engine reads before its first operation.

    One thread for each trial: sums then have one order, so that a trial
    gives the same number alone, beside others and on another day.
    """
    for name in (
        "OMP_NUM_THREADS",
        "TF_NUM_INTRAOP_THREADS",
        "TF_NUM_INTEROP_THREADS",
    ):
        os.environ.setdefault(name, "1")
    flags = os.environ.get("XLA_FLAGS", "")
    if "multi_thread_eigen" not in flags:
        flags += " --xla_cpu_multi_thread_eigen=false"
        os.environ["XLA_FLAGS"] = flags.strip()
    # JAX compiles every new model for about a second: keep what it made.
    os.environ.setdefault(
        "JAX_COMPILATION_CACHE_DIR", str(cache_folder() / "jax")
    )
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # Of a GPU's memory only what is needed: others may be at work there.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    # TensorFlow warns of a model built in a loop, which trials are.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # Joblib does of a worker that it replaces, which costs no trial.
    warnings.filterwarnings("ignore", "A worker stopped while some jobs")


def hide_gpus() -> None:
    """Keeps an engine that is not loaded yet, and its workers, off GPUs."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    os.environ["JAX_PLATFORMS"] = "cpu"


@contextlib.contextmanager
def quiet_import() -> Iterator[None]:
    """Hides what engines print while loading; shows it if that fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as hidden:
        stderr = os.dup(2)
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            os.dup2(stderr, 2)
            hidden.seek(0)
            os.write(2, hidden.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


def load_engine() -> None:
    """Loads Keras with all that it would load in the first trial.

    Setting a seed loads TensorFlow too, on whatever backend, where it is
    installed: for seconds, and with a word on standard error.
    """
    # A million objects come to stay: collecting while they do, or looking at
    # them in later collections, would cost a fifth of the time.
    gc.disable()
    try:
        with quiet_import():
            import keras

            keras.utils.set_random_seed(0)
    finally:
        gc.enable()
        gc.freeze()


def leave(status: int) -> NoReturn:
    """Ends this process, without a last collection, which takes seconds."""
    gc.freeze()
    sys.exit(status)


@contextlib.contextmanager
def deaf_to_ctrl_c() -> Iterator[None]:
    """Starts processes that leave Ctrl-C to their parent, which ends them.

    They inherit that the signal is ignored, as it is here for that moment.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # where Python allows no change
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def gpus() -> list[str]:
    """Names of the GPUs that the loaded Keras backend sees."""
    import keras

    if keras.backend.backend() == "torch":
        cuda = sys.modules["torch"].cuda
        return [f"cuda:{i}" for i in range(cuda.device_count())]
    try:
        return keras.distribution.list_devices("gpu")
    except RuntimeError:  # how JAX says that there is none
        return []


def default_jobs() -> int:
    """Processes that this machine's cores and free memory allow."""
    if gpus():
        return 1
    import joblib

    jobs = joblib.cpu_count()
    with contextlib.suppress(OSError), open("/proc/meminfo") as file:
        sizes = dict(line.split(":") for line in file)
        free = int(sizes["MemAvailable"].split()[0]) * 1024
        jobs = min(jobs, int(free / WORKER_BYTES))
    return max(jobs, 1)


def engine() -> str:
    """Name of the backend that Keras has loaded."""
    return sys.modules["keras"].backend.backend()


def versions() -> dict[str, str]:
    """Versions of what a trial's numbers depend on."""
    import importlib.metadata  # for which listing need not wait

    packages = ["kerasrecipes", "keras", engine(), "numpy", "scikit-learn"]
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"python": platform.python_version(), **found}


def processor() -> str:
    """The processor's name, as far as the system tells it."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line for line in text.splitlines() if "model name" in line]
    return names[0].split(":", 1)[1].strip() if names else platform.machine()
