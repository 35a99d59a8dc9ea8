"""
Data parallelism: cut the batch into chunks, add up their gradients
===================================================================

The notes map a batch to several machines: cut it into chunks, "process each
chunk in parallel, then add up the result". What is added are gradients. A loss
is a mean over examples, so each chunk counts by its share of them,

.. math::

   \\nabla L = \\sum_k \\frac{n_k}{n} \\, \\nabla L_k

and the sum is the gradient of the whole batch, whoever computed its parts. Each
machine has all the weights and some of the examples; gradients are what they
tell each other. That goes wrong where chunks of different sizes count alike,
and where a layer looks at its whole batch, as ``BatchNormalization`` does.

First chunks are taken by hand, then by what there is for many devices: Keras'
``DataParallel`` on JAX, and TensorFlow's ``MultiWorkerMirroredStrategy``. Here
a device is a thread, and a worker a process that talks as over a network.

:question: How do I train one network on several devices, and is it faster?
:level: advanced
:notes: Deep learning, wiki notes, Map Reduce and Parallelism
:papers: Chu et al. 2006, https://dl.acm.org/doi/10.5555/2976456.2976492;
    Goyal et al. 2017, https://arxiv.org/abs/1706.02677
:backends: tensorflow, jax, torch
:extras: jax
:before: normalization/batch_norm
"""

import contextlib
import importlib.util
import json
import logging
import os
import subprocess
import sys
import tempfile

import keras
import numpy as np
from keras import layers
from matplotlib.figure import Figure

from kerasrecipes.datasets import FOLDS, load_digits
from kerasrecipes.experiment import Claim, Count, Report, cook, run_trials

JAX, WORKERS = "DataParallel", "MultiWorkerMirroredStrategy"
VARIANTS = {
    "one device": {},
    "by hand": {"way": "by hand"},
    "DataParallel on 4": {"way": JAX, "devices": 4},
    "2 workers, fit": {"way": WORKERS, "devices": 2},
    "2 workers, own loop": {"way": WORKERS, "devices": 2, "loop": True},
}
TIMED = {
    **{f"DataParallel on {n}": {"way": JAX, "devices": n} for n in (1, 2, 4)},
    "1 worker, own loop": {"way": WORKERS, "devices": 1, "loop": True},
    "2 workers, own loop": {"way": WORKERS, "devices": 2, "loop": True},
}
QUICK = {"epochs": 2, "seeds": 1, "variants": ["one device", "by hand"]}
FULL = {"seeds": 20}

BATCH, ROWS = 512, 1536
EQUAL, UNEQUAL = [128] * 4, [127] * 4 + [4]
SUMS = {
    "equal chunks": (EQUAL, True),
    "with a remainder": (UNEQUAL, True),
    "remainder, not weighted": (UNEQUAL, False),
    "BatchNormalization": (EQUAL, True),
}

# %%
# The network
# -----------
# Convolutions compute much with few weights, and weights are what is sent
# around. It is smooth: where a ReLU bends, a rounding could switch a unit off.


def build_model(is_normalized: bool = False) -> keras.Model:
    """Compiled classifier of digits (batch, 8, 8, 1), for plain SGD."""
    stack = [
        layers.Conv2D(32, 3, padding="same", activation="tanh"),
        layers.Conv2D(32, 3, padding="same", activation="tanh"),
        layers.AveragePooling2D(2),
        layers.Flatten(),
        layers.Dense(10),
    ]
    if is_normalized:
        stack.insert(2, layers.BatchNormalization())
    model = keras.Sequential([layers.Input((8, 8, 1)), *stack])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.4), loss)
    return model


# %%
# By hand
# -------
# With plain SGD the gradient is what a step takes off the weights, divided by
# the rate. That needs no more than Keras, on every backend.


def summed_steps(model, x, y, sizes, is_weighted: bool = True) -> list:
    """What chunks of a batch, alone, would take off each weight, added up."""
    start, steps = model.get_weights(), []
    for chunk in np.split(np.arange(len(x)), np.cumsum(sizes)[:-1]):
        before = [weight.numpy() for weight in model.trainable_variables]
        model.train_on_batch(x[chunk], y[chunk])
        after = [weight.numpy() for weight in model.trainable_variables]
        steps.append(list(map(np.subtract, before, after)))
        model.set_weights(start)
    shares = sizes if is_weighted else None
    return [np.average(one, 0, shares) for one in zip(*steps, strict=True)]


def flat(arrays) -> np.ndarray:
    """All numbers of several arrays in one vector."""
    return np.concatenate([np.ravel(one) for one in arrays])


def measure(seed: int) -> dict:
    """How far summed gradients are off the batch's, in parts of its length."""
    (x, y), _ = load_digits(BATCH, fold=seed)
    scores = {}
    for is_normalized in (False, True):
        keras.utils.set_random_seed(seed)
        model = build_model(is_normalized)
        whole = flat(summed_steps(model, x, y, [BATCH]))
        for name, way in SUMS.items():
            if (name == "BatchNormalization") == is_normalized:
                found = flat(summed_steps(model, x, y, *way))
                off = np.linalg.norm(found - whole) / np.linalg.norm(whole)
                scores[f"off, {name}"] = off
    return scores


# %%
# Over devices and workers
# ------------------------
# A process has one backend, which must know of its devices before it is loaded.
# So these trainings run in processes of their own, by this program. On JAX the
# scope is all that it takes. With several workers of TensorFlow, ``fit`` is one
# thing to try; the other is Keras' ``train_step``, run on each of them.

PROGRAM = """
import json, os, socket, sys, threading, time
with socket.socket() as free:  # where other workers will find this one
    free.bind(("localhost", 0))
    print(f"localhost:{free.getsockname()[1]}", flush=True)
number, addresses, batch, epochs, loop = json.loads(input())
# Whoever started this reads its error, and may be gone: then the pipe ends.
sys.excepthook = lambda kind, error, _: print(kind.__name__, error, sep=": ")
watch = lambda: os.read(0, 1) or os._exit(1)
threading.Thread(target=watch, daemon=True).start()

import keras
import numpy as np
if keras.config.backend() == "jax":
    scope = keras.distribution.DataParallel().scope()
else:
    import tensorflow as tf
    me = {"type": "worker", "index": number}
    cluster = {"cluster": {"worker": addresses}, "task": me}
    os.environ["TF_CONFIG"] = json.dumps(cluster)
    scope = tf.distribute.MultiWorkerMirroredStrategy().scope()

x, y = np.load("data.npz").values()
times = []
stop = lambda *_: times.append(time.perf_counter())
with scope:
    model = keras.models.load_model("model.keras")
    # An optimizer saved on PyTorch is PyTorch's own: take its settings alone.
    settings = model.optimizer.get_config()
    model.compile(keras.optimizers.SGD.from_config(settings), model.loss)
    if loop:
        strategy = tf.distribute.get_strategy()
        model.optimizer.build(model.trainable_variables)
        batches = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch)
        batches = strategy.experimental_distribute_dataset(batches)

        @tf.function
        def step(chunk):
            strategy.run(model.train_step, args=(chunk,))

        for _ in range(epochs):
            for chunk in batches:
                step(chunk)
            stop()
    else:
        clock = keras.callbacks.LambdaCallback(on_epoch_end=stop)
        model.fit(x, y, batch, epochs, 0, clock, shuffle=False)
seconds = np.diff(times) * batch / len(x)
np.savez(f"worker{number}.npz", *model.get_weights(), seconds=seconds)
"""


def train_apart(model, x, y, epochs, way, devices, loop=False) -> tuple:
    """Trains a network over devices, in processes of their own.

    Returns its weights, and the seconds of a step in each epoch but the first.
    """
    backend = "jax" if way == JAX else "tensorflow"
    if importlib.util.find_spec(backend) is None:
        raise ModuleNotFoundError(f"{way} needs: pip install {backend}")
    flags = f"--xla_force_host_platform_device_count={devices}"
    settings = {
        "KERAS_BACKEND": backend,
        "CUDA_VISIBLE_DEVICES": "-1",
        "JAX_PLATFORMS": "cpu",
        # One thread a device: nothing but devices is to make a difference.
        "XLA_FLAGS": f"{flags} --xla_cpu_multi_thread_eigen=false",
        "TF_NUM_INTRAOP_THREADS": "1",
    }
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as end:
        model.save(f"{folder}/model.keras")
        np.savez(f"{folder}/data.npz", x, y)
        workers = []
        for _ in range(devices if way == WORKERS else 1):
            worker = subprocess.Popen(  # noqa: S603 (it runs what is above)
                [sys.executable, "-c", PROGRAM],
                env={**os.environ, **settings},
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            workers.append(end.enter_context(worker))
            end.callback(worker.kill)  # comes first, whatever happens
        addresses = [worker.stdout.readline().strip() for worker in workers]
        for number, worker in enumerate(workers):
            task = number, addresses, BATCH, epochs, loop
            worker.stdin.write(f"{json.dumps(task)}\n")
            worker.stdin.flush()
        for worker in workers:
            if worker.wait(timeout=300):
                said = worker.stdout.read().splitlines()
                raise subprocess.SubprocessError(*said[:1])
        with np.load(f"{folder}/worker0.npz") as file:
            seconds, *weights = file.values()
    return weights, seconds


# %%
# One trial
# ---------
# Put your own data in the first line: x of shape (examples, height, width,
# channels), y integers, in whole batches, which devices can share. One that
# fails says why, and stays where it started.


def train(seed: int, epochs: int, way="", devices=1, loop=False) -> dict:
    """Trains over devices; says how far the weights are from one device's."""
    (x, y), (x_test, y_test) = load_digits(ROWS, fold=seed)
    keras.utils.set_random_seed(seed)
    model = build_model()
    start, has_run = model.get_weights(), 1
    model.fit(x, y, BATCH, epochs, verbose=0, shuffle=False)
    alone = flat(model.get_weights())
    model.set_weights(start)
    if not way:
        model.fit(x, y, BATCH, epochs, verbose=0, shuffle=False)
    elif way == "by hand":
        for rows in [*np.arange(len(x)).reshape(-1, BATCH)] * epochs:
            steps = summed_steps(model, x[rows], y[rows], EQUAL)
            model.set_weights([*map(np.subtract, model.get_weights(), steps)])
    else:
        try:
            found = train_apart(model, x, y, epochs, way, devices, loop)
            model.set_weights(found[0])
        except subprocess.SubprocessError as error:
            logging.getLogger(__name__).warning("%s: %s", way, error)
            has_run = 0
    said = model.predict(x_test, batch_size=len(x_test), verbose=0)
    return {
        "has run": has_run,
        "accuracy": np.mean(said.argmax(axis=1) == y_test),
        "off": np.abs(flat(model.get_weights()) - alone).max(),
    }


def time_steps(seed: int, way: str, **how) -> dict:
    """Milliseconds of a step in the best epoch but the first."""
    (x, y), _ = load_digits(ROWS, fold=seed)
    keras.utils.set_random_seed(seed)
    _, seconds = train_apart(build_model(), x, y, 8, way, **how)
    return {"ms": 1000 * seconds.min()}


# %%
# The experiment
# --------------


def plot_devices(facts, times) -> Figure:
    """Speed over the number of devices; how far summed gradients are off."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([1, 4], [1, 4], ":", color="grey", label="efficiency of 1")
    for way, shade in ((JAX, "#0072B2"), (WORKERS, "#D55E00")):
        names = [name for name in TIMED if TIMED[name]["way"] == way]
        counts = [TIMED[name]["devices"] for name in names]
        found = [times.scores("ms", name).values() for name in names]
        for took in zip(*found, strict=False):
            speeds = took[0] / np.array(took)
            left.plot(counts, speeds, "o-", color=shade)
        left.plot([], "o-", color=shade, label=way)
    left.set(xlabel="devices or workers", xticks=(1, 2, 4), ylim=(0, None))
    left.set_ylabel("steps in the time of one device's step")
    left.legend(frameon=False, fontsize=8)
    for name in SUMS:
        found = [*facts.scores(f"off, {name}").values()]
        right.plot(found, [name] * len(found), "o", color="black")
    right.set(xscale="log", xlim=(1e-8, 2), ylim=(3.5, -0.5))
    right.set_xlabel("distance from the batch's gradient, in its length")
    figure.supxlabel("a line or a point: a seed", fontsize=8)
    return figure


def main(epochs: Count = 10, seeds: Count = 3) -> Report:
    """Sums gradients by hand, and trains over devices and workers.

    Args:
        epochs: passes over three batches.
        seeds: batches that are cut; half as many networks are trained, and
            a quarter as many timed, so none with fewer than four.
    """
    facts = run_trials(measure, seeds=seeds, folds=FOLDS)
    trials = run_trials(
        train, VARIANTS, seeds=max(seeds // 2, 1), folds=FOLDS, epochs=epochs
    )
    times = run_trials(time_steps, TIMED, seeds=seeds // 4, timing=True)
    loop = "2 workers, own loop"
    claims = {
        **{
            # In float32: a step is the difference of weights that are larger.
            f"Weighted chunks add up to the batch's gradient: {name}": (
                facts.agrees(f"off, {name}", 0, within=1e-4)
            )
            for name in ("equal chunks", "with a remainder")
        },
        "A mean of chunks not weighted, one of 4 digits, is off by a tenth": (
            facts.is_above("off, remainder, not weighted", 0.1)
        ),
        "With BatchNormalization the sum of chunks is off by 1 percent": (
            facts.is_above("off, BatchNormalization", 0.01)
        ),
        **{
            # Thirty steps, with their roundings in another order.
            f"Training ends in one device's weights: {name}": (
                trials.agrees("off", 0, name, within=1e-5)
            )
            for name in ("by hand", "DataParallel on 4", loop)
        },
        "Keras' fit trains over two workers of MultiWorkerMirroredStrategy": (
            trials.share("has run", "2 workers, fit", at_least=2 / 3)
        ),
        "A step takes less time in parallel: DataParallel, 2 against 1": (
            times.is_lower("ms", "DataParallel on 2", than="DataParallel on 1")
        ),
        "A step takes less time in parallel: 2 workers against 1": (
            times.is_lower("ms", loop, than="1 worker, own loop")
        ),
    }
    notes = "Deep learning, wiki notes, Map Reduce and Parallelism"
    return Report(
        facts.table(*(f"off, {name}" for name in SUMS)),
        trials.table("has run", "accuracy", "off"),
        times.table("ms"),
        plot_devices(facts, times),
        *(Claim(text, found, notes) for text, found in claims.items()),
    )


# %%
# What to make of it
# ------------------
# Weigh every chunk by its size, or give all of them one, and parallel training
# is the same training: only the clock changes. It can win where a step has more
# to compute than to tell, and each device has a core, or a card, to itself.
# ``DataParallel`` is one line; workers of TensorFlow need a loop around
# ``train_step``. Where a layer takes statistics of its batch, keep chunks
# large. To try: ``MirroredStrategy``, TensorFlow's scope for devices of one
# process, where ``fit`` works; or more weights and little to compute, by a
# ``Dense(2000)`` before the last layer.

if __name__ == "__main__":
    cook(main)
