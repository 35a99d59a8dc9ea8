"""TimeDistributed against loops and formulas in NumPy; where masks go."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.recurrent import time_distributed


def to_numpy(y):
    return ops.convert_to_numpy(y)


@pytest.fixture
def generator():
    keras.utils.set_random_seed(4)
    return np.random.default_rng(4)


# ----------------------------------------------------------------------
# Dense, wrapped and not


def make_heads():
    return {
        "Dense": layers.Dense(2),
        "TimeDistributed": layers.TimeDistributed(layers.Dense(2)),
    }


@pytest.mark.parametrize("name", make_heads())
def test_outputs_and_gradients_of_a_head(name, generator):
    """Mean square error and its gradient, by the formula."""
    x = generator.normal(size=(7, 5, 3)).astype("float32")
    y = generator.normal(size=(7, 5, 2)).astype("float32")
    model = keras.Sequential([layers.Input((5, 3)), make_heads()[name]])
    kernel, bias = model.get_weights()
    expected = np.einsum("bti,io->bto", x.astype("float64"), kernel) + bias
    np.testing.assert_allclose(to_numpy(model(x)), expected, atol=1e-6)

    model.compile(keras.optimizers.SGD(1.0), "mse")
    model.train_on_batch(x, y)
    error = 2 * (expected - y) / y.size
    gradients = np.einsum("bti,bto->io", x, error), error.sum(axis=(0, 1))
    moved = map(np.subtract, (kernel, bias), model.get_weights())
    for change, gradient in zip(moved, gradients, strict=True):
        np.testing.assert_allclose(change, gradient, atol=1e-6)


@pytest.mark.parametrize(
    ("head", "weights"),
    [("last state", 170), ("flattened", 270), ("time-distributed", 146)],
)
def test_weights_of_the_notes_example(head, weights):
    model = time_distributed.build_model(head)
    assert model.count_params() == weights
    assert model.output_shape == (None, 5)
    # 4 ((n + m) m + m) of the LSTM with one input and five units.
    assert model.layers[0].count_params() == 4 * ((1 + 5) * 5 + 5) == 140


def test_dense_is_not_flattened():
    for head in make_heads().values():
        assert head.compute_output_shape((None, 5, 3)) == (None, 5, 2)
        head.build((None, 5, 3))
        assert head.count_params() == 3 * 2 + 2


# ----------------------------------------------------------------------
# A ConvNet at every frame


def make_convnet():
    return [
        layers.Reshape((8, 8, 1)),
        layers.Conv2D(3, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(4),
    ]


def test_wrapping_each_layer_is_wrapping_all(generator):
    """And both are the frames as one batch."""
    clips = generator.random((5, 3, 64)).astype("float32")
    convnet = make_convnet()
    each = clips
    for layer in convnet:
        each = layers.TimeDistributed(layer)(each)
    whole = keras.Sequential([layers.Input((64,)), *convnet])
    one_batch = to_numpy(whole(clips.reshape(15, 64))).reshape(5, 3, 4)
    wrapped = layers.TimeDistributed(whole)(clips)
    np.testing.assert_allclose(to_numpy(each), one_batch, atol=1e-6)
    np.testing.assert_allclose(to_numpy(wrapped), one_batch, atol=1e-6)


def test_a_whole_convnet_warns_that_it_destroys_the_mask(generator):
    frames = layers.Masking()(generator.random((2, 3, 64)).astype("float32"))
    whole = keras.Sequential([layers.Input((64,)), *make_convnet()])
    with pytest.warns(UserWarning, match="does not support masking"):
        layers.TimeDistributed(whole)(frames)
    for layer in make_convnet():  # none of these warns
        frames = layers.TimeDistributed(layer)(frames)


@pytest.mark.parametrize("lost", [False, True])
def test_padding_of_clips(lost, generator):
    clips = generator.random((6, 3, 64)).astype("float32")
    clips[2:4, 2:] = 0.0
    longer = np.pad(clips, ((0, 0), (0, 2), (0, 0)))
    reader = time_distributed.build_reader(lost)
    before, after = to_numpy(reader(clips)), to_numpy(reader(longer))
    if lost:
        assert np.abs(before - after).max(axis=1).min() > 1e-4
    else:
        np.testing.assert_allclose(before, after, atol=1e-6)
        # And each is what its own frames give without any padding.
        alone = to_numpy(reader(clips[2:4, :2]))
        np.testing.assert_allclose(before[2:4], alone, atol=1e-6)


# ----------------------------------------------------------------------
# Words, sentences, documents


@pytest.fixture
def words():
    """Two documents of three sentences; the last of the second is empty."""
    return np.array(
        [
            [[3, 1, 0, 0], [2, 2, 1, 5], [4, 0, 0, 0]],
            [[1, 6, 0, 0], [7, 3, 2, 0], [0, 0, 0, 0]],
        ]
    )


def read_sentences(words, embedding, lstm):
    """States after each sentence's real words, one sentence at a time."""
    states = np.zeros((2, 3, lstm.units))
    for place in np.ndindex(2, 3):
        real = words[place][words[place] > 0]
        if len(real):
            states[place] = to_numpy(lstm(to_numpy(embedding(real[None]))))[0]
    return states


def test_a_wrapped_lstm_is_given_the_mask_of_its_step(words, generator):
    embedding = layers.Embedding(9, 5, mask_zero=True)
    lstm = layers.LSTM(3)
    found = layers.TimeDistributed(lstm)(embedding(words))
    expected = read_sentences(words, embedding, lstm)
    np.testing.assert_allclose(to_numpy(found), expected, atol=1e-6)

    inside = [layers.Input((4,), dtype="int32"), embedding, lstm]
    found = layers.TimeDistributed(keras.Sequential(inside))(words)
    np.testing.assert_allclose(to_numpy(found), expected, atol=1e-6)


def test_a_wrapped_embedding_loses_its_mask_in_silence(words, generator):
    embedding = layers.Embedding(9, 5, mask_zero=True)
    lstm = layers.LSTM(3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        embedded = layers.TimeDistributed(embedding)(words)
        found = layers.TimeDistributed(lstm)(embedded)
    # It has read the padding as well.
    unmasked = [to_numpy(lstm(to_numpy(embedding(one)))) for one in words]
    np.testing.assert_allclose(to_numpy(found), unmasked, atol=1e-6)
    expected = read_sentences(words, embedding, lstm)
    error = np.abs(to_numpy(found) - expected).max(axis=-1)
    padded = (words == 0).any(axis=-1)
    assert error[padded].min() > 1e-5 and error[~padded].max() < 1e-6


def read_document(states, document):
    """States after each document's real sentences."""
    first = to_numpy(document(states[:1].astype("float32")))
    second = to_numpy(document(states[1:, :2].astype("float32")))
    return np.concatenate([first, second])


@pytest.mark.parametrize("units", [3, 4])
def test_the_mask_behind_a_wrapped_lstm_is_of_words(words, units, generator):
    embedding = layers.Embedding(9, 5, mask_zero=True)
    lstm, document = layers.LSTM(units), layers.LSTM(units)
    sentences = layers.TimeDistributed(lstm)(embedding(words))
    states = read_sentences(words, embedding, lstm)
    expected = read_document(states, document)
    mended = document(layers.Masking()(sentences))
    np.testing.assert_allclose(to_numpy(mended), expected, atol=1e-6)
    if keras.config.backend() == "jax":
        found = document(sentences)
        np.testing.assert_allclose(to_numpy(found), expected, atol=1e-6)
    elif units == words.shape[-1]:
        found = to_numpy(document(sentences))
        assert np.abs(found - expected).max() > 1e-3 * np.abs(expected).max()
    else:
        with pytest.raises(Exception, match="LSTM"):
            document(sentences)


def test_what_the_table_of_masks_says():
    """Masks by Keras' own account, in a model with two outputs."""
    found = time_distributed.measure(0)
    for name, make in time_distributed.LAYERS.items():
        inputs = keras.Input((6, 3))
        layer = make()
        masked = layers.Masking()(inputs)
        layer(inputs)  # builds it
        kept = layer.supports_masking and (
            layer.compute_mask(masked, mask := keras.Input((6,), dtype="bool"))
            is mask
        )
        assert found[name] == kept, name
