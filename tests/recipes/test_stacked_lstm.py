"""The language, the least bits, widths and probes, against longer ways."""

import itertools

import keras
import numpy as np
import pytest
from keras import ops

from kerasrecipes.recipes.recurrent import stacked_lstm

KINDS, LETTERS = stacked_lstm.KINDS, stacked_lstm.LETTERS
SIZES = (stacked_lstm.TOPICS, stacked_lstm.WORDS, LETTERS)


def make(rows, length, words=None, seed=0):
    generator = np.random.RandomState(seed)
    if words is None:
        words = generator.randint(KINDS, size=SIZES)
    return *stacked_lstm.make_text(rows, length, words, generator), words


def test_text_is_words_of_its_topics():
    # The letter is its place in the word: so the phase can be seen.
    words = np.broadcast_to(np.arange(LETTERS), SIZES)
    text, topics, _ = make(50, 41, words)
    assert text.shape == topics.shape == (50, 41)
    assert (np.diff(text, axis=1) % LETTERS == 1).all()
    assert set(text[:, 0]) == set(range(LETTERS))
    # A topic changes between words alone.
    changes = np.diff(topics, axis=1) != 0
    assert changes.any() and (text[:, 1:][changes] == 0).all()

    words = np.broadcast_to(np.arange(SIZES[0])[:, None, None], SIZES)
    text, topics, _ = make(50, 40, words)
    np.testing.assert_array_equal(text, topics)


def test_topics_stay_as_often_as_they_should():
    words = np.zeros(SIZES, int)
    _, topics, _ = make(400, 400, words, seed=1)
    changes = np.mean(topics[:, LETTERS:] != topics[:, :-LETTERS])
    expected = (1 - stacked_lstm.STAY) * (1 - 1 / stacked_lstm.TOPICS)
    # 40,000 words, five standard errors.
    assert changes == pytest.approx(expected, abs=0.008)


def test_least_bits_are_those_of_all_ways_to_make_the_text(monkeypatch):
    """Two topics of two words with two letters: every path is summed up."""
    for name, value in {"TOPICS": 2, "WORDS": 2, "LETTERS": 2}.items():
        monkeypatch.setattr(stacked_lstm, name, value)
    words = np.array([[[0, 1], [1, 1]], [[1, 0], [0, 1]]])
    text = np.array([0, 1, 1, 1, 0])
    stay = stacked_lstm.STAY

    def chance(text):
        total = 0.0
        for start in range(2):
            count = (start + len(text) + 1) // 2
            for path in itertools.product(range(2), repeat=2 * count):
                topics, picked = path[:count], path[count:]
                letters = words[list(topics), list(picked)].ravel()
                if (letters[start : start + len(text)] == text).all():
                    weight = 0.5 * 0.5**count * 0.5
                    for one, other in itertools.pairwise(topics):
                        weight *= stay * (one == other) + (1 - stay) / 2
                    total += weight
        return total

    bits = stacked_lstm.least_bits(text[None], words)[0]
    expected = [-np.log2(chance(text[:n])) for n in range(1, 6)]
    np.testing.assert_allclose(np.cumsum(bits), expected, rtol=1e-10)


def test_units_give_the_number_of_parameters():
    at_least = stacked_lstm.build_model(1).count_params()
    for depth in range(1, 5):
        units = stacked_lstm.choose_units(depth)
        found = stacked_lstm.build_model(depth).count_params()
        assert found == pytest.approx(at_least, rel=0.03), (depth, units)
    assert stacked_lstm.choose_units(1) == stacked_lstm.UNITS


def test_reads_what_the_model_says():
    keras.utils.set_random_seed(1)
    model = stacked_lstm.build_model(3)
    text = np.random.default_rng(2).integers(KINDS, size=(4, 12))
    bits, states = stacked_lstm.read(model, text)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    said = model.predict_on_batch(text[:, :-1])
    expected = float(loss(text[:, 1:], said)) / np.log(2)
    assert bits.shape == (4, 11)
    assert bits.mean() == pytest.approx(expected, abs=1e-5)
    units = stacked_lstm.choose_units(3)
    assert [state.shape for state in states] == [(4, 12, units)] * 3
    logits = ops.convert_to_numpy(model.layers[-1](states[-1]))
    np.testing.assert_allclose(logits[:, :-1], said, atol=1e-5)


def test_a_probe_finds_what_is_there():
    """A state that holds the letters 1 and 3 steps ago, and the topic."""
    text, topics, _ = make(stacked_lstm.ROWS, stacked_lstm.LENGTH)
    text = np.random.default_rng(4).integers(KINDS, size=text.shape)
    past = [np.roll(text, k, axis=1) for k in (1, 3)]
    state = np.concatenate(
        [
            *(np.eye(KINDS)[letters] for letters in past),
            np.eye(stacked_lstm.TOPICS)[topics],
        ],
        axis=2,
    )
    share, hits = stacked_lstm.probe(state, text, topics)
    assert share.shape == (stacked_lstm.LAGS,) and hits == 1.0
    np.testing.assert_allclose(share[[0, 2]], 1.0, atol=1e-3)
    assert np.abs(np.delete(share, [0, 2])).max() < 0.02
    share, hits = stacked_lstm.probe(state[:, :, :KINDS], text, topics)
    assert share[0] > 0.99 and share[2] < 0.02
    assert hits < 2 / stacked_lstm.TOPICS


def test_time_scale_of_what_decays():
    """An autoregression of 0.8 has 1 + 2 * 0.8 / 0.2 = 9 steps."""
    noise = np.random.default_rng(5).normal(size=(400, 400, 2))
    state = np.zeros_like(noise)
    for t in range(1, 400):
        state[:, t] = 0.8 * state[:, t - 1] + noise[:, t]
    assert stacked_lstm.time_scale(state) == pytest.approx(9.0, abs=0.4)
    assert stacked_lstm.time_scale(noise) == pytest.approx(1.0, abs=0.2)


def test_facts():
    found = stacked_lstm.measure(seed=11)
    assert found["cells off layers"] < 1e-5
    assert found["refused"] == 1.0
