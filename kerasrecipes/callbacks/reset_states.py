"""Resets the states of stateful layers: at once, or where sequences begin."""

import numbers

import keras
from keras import ops


class ResetStates(keras.callbacks.Callback):
    """Resets all stateful recurrent layers where new sequences begin.

    A layer with `stateful=True` starts each batch from the state in which the
    batch before it ended, and Keras never resets it: neither between epochs,
    nor between training, validation and prediction. This callback does, in
    `fit`, `evaluate` and `predict`, before the batches in which sequences
    begin. The state after the last batch is left for whoever wants to go on
    from it.

    With `every=N`, sequences are N batches long: the states are reset before
    batch 0, N, 2N and so on. Without, each epoch is one sequence, and so are
    the data of each `evaluate` and `predict`. With `each_epoch=False` the
    batches are counted through all epochs of a `fit`, for a generator that
    goes on in the next epoch where the last one ended.

    A validation within `fit` starts from fresh states, too. Where
    `each_epoch=False`, training gets its own states back after it.

    It finds the layers wherever they are: in nested models, in wrappers such
    as `Bidirectional`, in lists and dicts of a model that is a subclass. A
    layer is reset to what it starts from, which is what its cell's
    `get_initial_state` says, as a rule zeros. A layer of your own takes part
    if it has `stateful = True` and a method `reset_state`.

    Between direct calls of a model, `reset_model_states(model)` does the same
    at once.

    Resetting cannot help where states are not carried. In Keras 3.15, on
    JAX, `fit`, `evaluate` and `predict` begin every batch of an `RNN` with
    `stateful=True` from its initial state, without saying so.

    Example:

    Eight windows for each sequence, a batch for each window:

    ```python
    inputs = keras.Input((steps, features), batch_size=32)
    outputs = keras.layers.LSTM(16, stateful=True)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(outputs))
    model.compile("adam", "mse")
    reset = ResetStates(every=8)
    model.fit(x, y, batch_size=32, shuffle=False, callbacks=[reset])
    model.predict(x_new, batch_size=32, callbacks=[reset])
    ```

    Args:
        every: Positive integer or `None`, the number of batches in a
            sequence. If several batches are one execution (the argument
            `steps_per_execution` of `compile`), `every` is a multiple of
            their number. Defaults to `None`: a sequence is as long as an
            epoch.
        each_epoch: Boolean, whether a new sequence begins with each epoch of
            `fit`. If `False`, `every` must be given. Defaults to `True`.

    Raises:
        ValueError: From the constructor, if an argument is invalid. From
            `fit`, `evaluate` or `predict`, if the model has no stateful
            layer, or if a sequence would end within an execution.

    Reference:
        - [Keras, Working with RNNs: cross-batch statefulness](
          https://keras.io/guides/working_with_rnns/#crossbatch-statefulness)
    """

    def __init__(self, every=None, each_epoch=True):
        super().__init__()
        is_integer = isinstance(every, numbers.Integral)
        if every is not None and (
            not is_integer or isinstance(every, bool) or every < 1
        ):
            raise _invalid("every", "a positive integer or None", every)
        if not isinstance(each_epoch, bool):
            raise _invalid("each_epoch", "a boolean", each_epoch)
        if every is None and not each_epoch:
            raise _invalid("each_epoch", "True where `every` is None", False)
        self.every = None if every is None else int(every)
        self.each_epoch = each_epoch
        self._in_fit = False
        self._before = self._done = 0  # batches of this fit
        self._kept = None

    def on_train_begin(self, logs=None):
        self._check_model()
        self._in_fit = True
        self._before = self._done = 0

    def on_epoch_begin(self, epoch, logs=None):
        # The number of batches before this epoch's first.
        self._before = 0 if self.each_epoch else self._done

    def on_train_batch_begin(self, batch, logs=None):
        self._reset_if_due(self._before + batch)

    def on_train_batch_end(self, batch, logs=None):
        self._done = self._before + batch + 1

    def on_train_end(self, logs=None):
        self._in_fit = False

    def on_test_begin(self, logs=None):
        self._check_model()
        if self._in_fit and not self.each_epoch:
            self._kept = [
                (state, ops.copy(state))
                for layer in _find_stateful_layers(self.model)
                for state in _states_of(layer)
            ]

    def on_test_batch_begin(self, batch, logs=None):
        self._reset_if_due(batch)

    def on_test_end(self, logs=None):
        if self._kept:
            _ = self.model  # as in `_reset_if_due`
            for state, value in self._kept:
                state.assign(value)
        self._kept = None

    def on_predict_begin(self, logs=None):
        self._check_model()

    def on_predict_batch_begin(self, batch, logs=None):
        self._reset_if_due(batch)

    def _reset_if_due(self, batch):
        if batch == 0 or (self.every and batch % self.every == 0):
            # Reading `self.model` hands JAX's values over to the variables;
            # what was assigned before that would be lost.
            for layer in _find_stateful_layers(self.model):
                _reset_layer(layer)

    def _check_model(self):
        model = self.model
        # A model that is not built yet may not have made its layers.
        if model.built and not _find_stateful_layers(model):
            raise _nothing_to_reset(model)
        together = model.steps_per_execution
        if self.every and self.every % together:
            raise _invalid(
                "every",
                f"a multiple of the {together} batches that the model makes "
                "one execution of",
                self.every,
            )


def reset_model_states(model):
    """Resets all stateful recurrent layers of a model, now.

    Models of Keras 3 have no method for it any more, and that of a layer,
    `RNN.reset_state`, fails in Keras 3.15 where its cells are stacked. For
    `fit`, `evaluate` and `predict` there is the callback `ResetStates`, whose
    page says which layers are found, and what they are reset to.

    Args:
        model: a model, or another layer, with at least one stateful layer.

    Raises:
        ValueError: if there is no stateful layer.
    """
    found = _find_stateful_layers(model)
    if not found:
        raise _nothing_to_reset(model)
    for layer in found:
        _reset_layer(layer)


def _nothing_to_reset(model):
    return ValueError(
        "There is nothing to reset: expected a model with a layer of "
        "`stateful=True`. Received: a model without one, named "
        f"{getattr(model, 'name', type(model).__name__)!r}"
    )


def _invalid(argument, expected, value):
    return ValueError(
        f"Invalid value for argument `{argument}`: expected {expected}. "
        f"Received: {argument}={value!r}"
    )


def _find_stateful_layers(model):
    """Returns the layers whose states can be reset, each of them once."""
    return [
        layer
        for layer in _walk(model, seen=set())
        if getattr(layer, "stateful", False)
        and hasattr(layer, "reset_state")
        # Its two layers are found as well, and keep the states.
        and not isinstance(layer, keras.layers.Bidirectional)
    ]


def _walk(value, seen):
    """Yields the layers in a layer, in its attributes and in what they hold."""
    if isinstance(value, keras.layers.Layer):
        if id(value) not in seen:
            seen.add(id(value))
            yield value
            # `Model.layers` ends at the first level and knows no wrappers.
            for attribute in list(vars(value).values()):
                yield from _walk(attribute, seen)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _walk(item, seen)
    elif isinstance(value, (list, tuple, set)):
        for item in value:
            yield from _walk(item, seen)


def _states_of(layer):
    """Returns the variables in which a stateful layer keeps its states."""
    if isinstance(layer, keras.layers.RNN):
        # Nested where cells are stacked; None before the layer is built.
        return keras.tree.flatten(layer.states or [])
    return layer.non_trainable_variables


def _reset_layer(layer):
    if not isinstance(layer, keras.layers.RNN):
        layer.reset_state()
    elif layer.states is not None:
        # `RNN.reset_state` assigns zeros to whatever cell it is, and fails
        # where states are nested.
        states = _states_of(layer)
        initial = layer.get_initial_state(batch_size=states[0].shape[0])
        for state, value in zip(
            states, keras.tree.flatten(initial), strict=True
        ):
            state.assign(value)
