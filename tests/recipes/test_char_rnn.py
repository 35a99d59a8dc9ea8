"""How the recipe reads, draws and writes, against longer ways."""

import lzma

import keras
import numpy as np
import pytest

from kerasrecipes.datasets import CHARACTERS, load_characters
from kerasrecipes.recipes.recurrent import char_rnn

KINDS = len(CHARACTERS)


@pytest.fixture(scope="module")
def models():
    keras.utils.set_random_seed(2)
    return char_rnn.build_model()


def test_one_by_one_with_its_state_as_at_once(models):
    model, reader = models
    signs = np.random.default_rng(3).integers(KINDS, size=(2, 12))
    together = model.predict_on_batch(signs)
    states = char_rnn.zeros(2)
    for place in range(12):
        inputs = [signs[:, place : place + 1], *states]
        logits, h, *states = reader.predict_on_batch(inputs)
        np.testing.assert_allclose(logits[:, 0], together[:, place], atol=1e-6)
        np.testing.assert_allclose(h[:, 0], states[0], atol=1e-6)


def test_bits_are_the_loss_over_log_2(models):
    model, reader = models
    text = np.random.default_rng(4).integers(KINDS, size=70)
    bits, h, rows = char_rnn.read(reader, text, length=21, every=10)
    assert rows.shape == bits.shape == (5, 20) and h.shape[:2] == (5, 20)
    for row in range(5):
        part = text[10 * row : 10 * row + 21]
        np.testing.assert_array_equal(rows[row], part[:-1])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        said = model.predict_on_batch(part[None, :-1])
        expected = float(loss(part[None, 1:], said)) / np.log(2)
        assert bits[row].mean() == pytest.approx(expected, abs=1e-5)


def test_rows_are_judged_without_gap_or_overlap():
    """Each of 19,200 test characters once, in either way of reading."""
    shares = np.arange(1, KINDS + 1) / np.arange(1, KINDS + 1).sum()

    class Reader:
        """Says the same whatever it reads, so that bits tell a character."""

        def predict_on_batch(self, inputs):
            shape = (*inputs[0].shape, KINDS)
            return np.broadcast_to(np.log(shares), shape), None, None, None

    before, window = char_rnn.BEFORE, char_rnn.WINDOW
    count = char_rnn.RUN * char_rnn.ROWS
    text = np.random.default_rng(6).integers(KINDS, size=before + count)
    expected = -np.log2(shares[text[before:]])
    bits, _, _ = char_rnn.read(Reader(), text)
    np.testing.assert_allclose(bits[:, before - 1 :].ravel(), expected)
    bits, _, _ = char_rnn.read(Reader(), text[before - 1 :], window + 1, window)
    np.testing.assert_allclose(bits.ravel(), expected)


def test_draws_by_hand():
    """Probabilities 1/2, 1/4, 1/4 and the first two characters."""
    logits = np.full((6, KINDS), -np.inf)
    logits[:, [3, 7, 9]] = np.log([0.5, 0.25, 0.25])
    uniform = np.array([0.0, 0.49, 0.51, 0.74, 0.76, 1 - 1e-12])
    every = np.full((6, 1), KINDS)
    drawn = char_rnn.draw(logits, 1.0, every, uniform)
    np.testing.assert_array_equal(drawn, [3, 3, 7, 7, 9, 9])
    # At 0.5 probabilities are squared: 4/6, 1/6, 1/6.
    drawn = char_rnn.draw(
        logits, 0.5, every, np.array([0, 0.6, 0.7, 0.8, 0.9, 1 - 1e-12])
    )
    np.testing.assert_array_equal(drawn, [3, 3, 7, 7, 9, 9])
    drawn = char_rnn.draw(logits, 1.5, np.ones((6, 1), int), uniform)
    np.testing.assert_array_equal(drawn, [3] * 6)


def test_each_row_in_its_own_way():
    logits = np.tile(np.log(np.arange(1, KINDS + 1)), (3, 1))
    temperature = np.array([[0.01], [1.0], [1.0]])
    top = np.array([[KINDS], [1], [2]])
    drawn = char_rnn.draw(logits, temperature, top, np.array([0.1, 0.1, 0.1]))
    np.testing.assert_array_equal(drawn, [KINDS - 1, KINDS - 1, KINDS - 2])


def test_what_is_written_is_read_next(models, monkeypatch):
    monkeypatch.setattr(char_rnn, "WRITTEN", 5)
    model, reader = models
    samples = dict(char_rnn.write(reader, np.random.RandomState(1)))
    assert samples.keys() == char_rnn.WAYS.keys()
    uniform = np.random.RandomState(1).random_sample((5, 40))
    written = np.concatenate([*samples.values()])
    assert written.shape == (40, 5)
    signs = np.insert(written[:, :-1], 0, 0, axis=1)
    logits = model.predict_on_batch(signs)
    ways = [way for way in char_rnn.WAYS.values() for _ in range(10)]
    temperature, top = np.array(ways).T[:, :, None]
    for place in range(5):
        expected = char_rnn.draw(
            logits[:, place], temperature, top.astype(int), uniform[place]
        )
        np.testing.assert_array_equal(written[:, place], expected)


def test_packed_bits():
    """Text that was there before takes next to nothing; noise, log2(28)."""
    generator = np.random.default_rng(5)
    noise = generator.integers(KINDS, size=20_000)
    bits = char_rnn.packed_bits(noise[:10_000], noise[10_000:])
    assert np.log2(KINDS) < bits < 1.1 * np.log2(KINDS)
    assert char_rnn.packed_bits(noise[:10_000], noise) < 0.05
    text, _, test = load_characters(20_000)
    files = [
        lzma.compress(char_rnn.spell(one).encode(), preset=9)
        for one in (text, np.append(text, test[:5000]))
    ]
    expected = 8 * (len(files[1]) - len(files[0])) / 5000
    found = char_rnn.packed_bits(test[:5000], text)
    assert found == pytest.approx(expected, rel=0.03)


def test_a_unit_that_counts_letters_is_found():
    _, validation, test = load_characters(100)

    class Reader:
        """Unit 5 has minus the letters of the word so far, with noise."""

        def predict_on_batch(self, inputs):
            rows, _, _ = inputs
            h = np.random.default_rng(0).normal(size=(*rows.shape, 128))
            for row, codes in enumerate(rows):
                letters = 0
                for place, code in enumerate(codes):
                    letters = letters + 1 if code > 1 else 0
                    h[row, place, 5] = 0.1 * h[row, place, 5] - letters
            return np.zeros((*rows.shape, KINDS)), h, None, None

    found, unit = char_rnn.follow_words(Reader(), validation, test[:19_300])
    assert found > 0.99
    ends = np.flatnonzero(test[:299] <= 1)
    assert np.abs(unit[ends]).max() < 0.5 and unit.max() > 4


def test_facts():
    found = char_rnn.measure(seed=11)
    assert found["sum off 1"] < 1e-12
    assert found["shares off"] < 1.01e-4
