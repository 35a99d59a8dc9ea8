"""Weights counted by hand, and the projected cell against two twins."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.recurrent import lstm_parameters as recipe


def test_facts_hold():
    facts = recipe.measure(0)
    assert all(facts[f"{kind}, off"] == 0 for kind in recipe.FACTS)
    assert facts["longer"] == 0


def test_weights_of_one_feature_and_two_units():
    """Counted gate by gate, on paper."""
    assert recipe.by_formula(1, 2) == {
        "SimpleRNN": 2 + 4 + 2,
        "LSTM": 4 * (2 + 4 + 2),
        "GRU": 3 * (2 + 4 + 2 + 2),
        "GRU, one bias": 3 * (2 + 4 + 2),
        "bidirectional": 64,
        "stacked": 4 * (2 + 4 + 2) + 4 * (4 + 4 + 2),
        # One number is said: gates of 2 + 2 + 2 weights, and 2 to mix.
        "projected": 4 * (2 + 2 + 2) + 2,
    }


@pytest.mark.parametrize("units", [4, 32])
def test_what_training_holds(units):
    model = recipe.build_model(units)
    x = np.zeros((3, 8, 8), "float32")
    model.fit(x, np.zeros(3), verbose=0)
    variables = model.optimizer.variables
    sizes = sorted(np.prod(v.shape) for v in variables if len(v.shape))
    weights = [np.prod(w.shape) for w in model.trainable_variables]
    assert sizes == sorted(2 * weights)
    assert len(variables) == len(sizes) + 2


def make_projected(generator, features=3, units=7, projection=2):
    layer = layers.RNN(
        recipe.ProjectedLSTMCell(units, projection), return_sequences=True
    )
    layer.build((None, 20, features))
    shapes = [weight.shape for weight in layer.weights]
    layer.set_weights([0.5 * generator.normal(size=shape) for shape in shapes])
    return layer


def numpy_projected(x, kernel, bias, mixture):
    """The formula, one step after the other."""
    units, projection = mixture.shape
    h, c = np.zeros((len(x), projection)), np.zeros((len(x), units))
    said = []
    for step in range(x.shape[1]):
        z = np.concatenate([x[:, step], h], axis=1) @ kernel + bias
        i, f, g, o = (z[:, n * units : (n + 1) * units] for n in range(4))
        i, f, o = (1 / (1 + np.exp(-gate)) for gate in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = (o * np.tanh(c)) @ mixture
        said.append(h)
    return np.stack(said, axis=1)


def test_projected_against_numpy():
    generator = np.random.default_rng(1)
    x = generator.normal(size=(4, 20, 3)).astype("float32")
    layer = make_projected(generator)
    ours = ops.convert_to_numpy(layer(x))
    assert ours.shape == (4, 20, 2)
    expected = numpy_projected(x, *layer.get_weights())
    np.testing.assert_allclose(ours, expected, atol=1e-5)


def test_a_square_identity_as_projection_is_an_lstm():
    generator = np.random.default_rng(2)
    x = generator.normal(size=(4, 20, 3)).astype("float32")
    layer = make_projected(generator, units=5, projection=5)
    kernel, bias, _ = layer.get_weights()
    layer.set_weights([kernel, bias, np.eye(5)])
    lstm = layers.LSTM(5, return_sequences=True)
    lstm.build(x.shape)
    lstm.set_weights([kernel[:3], kernel[3:], bias])
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(x)), ops.convert_to_numpy(lstm(x)), atol=1e-5
    )


@pytest.mark.parity
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")
def test_projected_against_torch():
    torch = pytest.importorskip("torch", reason="needs torch")
    generator = np.random.default_rng(3)
    x = generator.normal(size=(4, 20, 3)).astype("float32")
    layer = make_projected(generator)
    kernel, bias, mixture = layer.get_weights()
    peer = torch.nn.LSTM(3, 7, proj_size=2, batch_first=True)
    theirs = (kernel[:3].T, kernel[3:].T, bias, 0 * bias, mixture.T)
    with torch.no_grad():
        for weight, value in zip(peer.parameters(), theirs, strict=True):
            weight.copy_(torch.tensor(value))
        said, _ = peer(torch.tensor(x))
    np.testing.assert_allclose(
        ops.convert_to_numpy(layer(x)), said.numpy(), atol=1e-5
    )


def test_keras_lstm_has_no_projection():
    """If this fails, the recipe need not bring a cell any more."""
    assert not {"projection", "proj_size"} & set(layers.LSTM(2).get_config())
    assert [w.shape for w in built(layers.LSTM(4)).weights] == [
        (3, 16),
        (4, 16),
        (16,),
    ]


def built(layer):
    layer(keras.Input((None, 3)))
    return layer
