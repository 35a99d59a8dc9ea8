"""The network of the recipe: its attention by the formula, and its steps."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.datasets import make_additions
from kerasrecipes.recipes.recurrent import encoder_decoder

DOT, ANSWER = encoder_decoder.DOT, encoder_decoder.ANSWER


def make_network(**arguments):
    keras.utils.set_random_seed(3)
    model, encoder, decoder = encoder_decoder.build_model(7, **arguments)
    generator = np.random.default_rng(4)
    shapes = [weight.shape for weight in model.get_weights()]
    model.set_weights([generator.normal(size=shape) for shape in shapes])
    x, y = make_additions(6, length=7)
    return model, encoder, decoder, x, np.insert(y[:, :-1], 0, DOT, axis=1)


def call(model, inputs):
    outputs = model(keras.tree.map_structure(ops.convert_to_tensor, inputs))
    return keras.tree.map_structure(ops.convert_to_numpy, outputs)


def only(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def test_attention_by_the_formula():
    _, encoder, decoder, x, before = make_network(attention=True)
    memory, h, c = call(encoder, x)
    logits, _, _, weights = call(decoder, [before, memory, h, c])

    (embedding,) = only(decoder, layers.Embedding)
    (lstm,) = only(decoder, layers.LSTM)
    (look,) = only(decoder, layers.AdditiveAttention)
    dense = only(decoder, layers.Dense)
    (key,) = (one for one in dense if one.input is decoder.inputs[1])
    (query,) = (one for one in dense if one is not key and not one.use_bias)
    (out,) = (one for one in dense if one.output is decoder.outputs[0])
    (mix,) = (one for one in dense if one.use_bias and one is not out)
    s, _, _ = lstm(embedding(before), initial_state=[h, c])
    s = ops.convert_to_numpy(s)
    q, k, m, o = (one.get_weights() for one in (query, key, mix, out))
    (v,) = look.get_weights()
    found = np.tanh((s @ q[0])[:, :, None] + (memory @ k[0])[:, None]) @ v
    found = np.exp(found - found.max(-1, keepdims=True))
    found /= found.sum(-1, keepdims=True)
    np.testing.assert_allclose(weights, found, atol=1e-5)
    seen = np.concatenate([s, found @ memory], axis=-1)
    expected = np.tanh(seen @ m[0] + m[1]) @ o[0] + o[1]
    np.testing.assert_allclose(logits, expected, atol=1e-4)


@pytest.mark.parametrize("attention", [False, True])
def test_a_teacher_feeds_all_signs_at_once(attention):
    """The same, sign by sign; and no sign knows a later one."""
    model, encoder, decoder, x, before = make_network(attention=attention)
    together = call(model, [x, before])
    memory, *states = call(encoder, x)
    for place in range(ANSWER):
        sign = before[:, place : place + 1]
        logits, *states = call(decoder, [sign, memory, *states[:2]])
        np.testing.assert_allclose(logits[:, 0], together[:, place], atol=1e-4)
    other = before.copy()
    other[:, 2:] = 5
    changed = call(model, [x, other])
    np.testing.assert_allclose(changed[:, :2], together[:, :2], atol=1e-5)
    assert np.abs(changed[:, 2] - together[:, 2]).max() > 0.1


def test_free_running_feeds_its_own_signs():
    free, encoder, decoder, x, before = make_network(is_free=True)
    logits = call(free, [x, before])
    states = encoder(x)
    step = encoder_decoder.follow(decoder)
    sign = np.full(len(x), DOT, "int32")
    for place in range(ANSWER):
        found, states = step(ops.convert_to_tensor(sign), states)
        found = ops.convert_to_numpy(found)
        own = logits[:, place]
        own = own - np.log(np.exp(own).sum(-1, keepdims=True))
        np.testing.assert_allclose(found, own, atol=1e-4)
        sign = found.argmax(-1).astype("int32")
    # Of the right answer it is told nothing but the dot to begin with.
    before[:, 1:] = 3
    np.testing.assert_array_equal(call(free, [x, before]), logits)


def test_mean_weights_by_part():
    """Three questions with blanks; the second one's answer has two digits."""
    x = np.array(
        [[12, 4, 7, 10, 12, 8, 5], [1, 2, 10, 3, 4, 12, 12], [9] * 5 + [12] * 2]
    )
    x[2, 2] = 10
    y = np.array([[1, 3, 2, DOT], [4, 6, DOT, DOT], [1, 9, 8, DOT]])
    weights = np.arange(84).reshape(3, ANSWER, 7) / 84
    found = encoder_decoder.look_at(x, y, weights)["weights"]
    first, third = weights[0], weights[2]
    expected = [
        [
            (first[row, place] + third[row, other]) / 2
            for place, other in zip((1, 2, 3, 5, 6), range(5), strict=True)
        ]
        + [(first[row, [0, 4]].sum() + third[row, 5:].sum()) / 2]
        for row in range(ANSWER)
    ]
    np.testing.assert_allclose(found, np.ravel(expected))


def test_facts():
    found = encoder_decoder.measure(seed=11)
    assert found["width 1 is not greedy"] == 0
    assert found["alone, signs differ"] == 0
    assert found["alone, off"] < 1e-4
