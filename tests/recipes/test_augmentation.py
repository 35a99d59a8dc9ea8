"""What the augmentation layers do to images and labels, by hand and at rest."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from kerasrecipes.recipes.preparation import augmentation as recipe


@pytest.fixture(autouse=True)
def known_warnings():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", recipe.KNOWN, UserWarning)
        yield


@pytest.fixture(scope="module")
def digits():
    x = np.random.default_rng(0).random((12, 8, 8, 1), dtype="float32")
    return x, np.eye(12, dtype="float32")


def test_facts():
    found = recipe.measure(seed=3)
    assert found["change at inference"] == 0.0
    assert found["shift and rotation, off"] < 1e-5
    assert found["MixUp, off"] < 1e-6
    assert 0.01 < found["CutMix, off"] < 0.25


@pytest.mark.parametrize("kind", recipe.LAYERS)
def test_augmentation_keeps_shapes_and_the_caller_s_arrays(kind, digits):
    images, labels = (array.copy() for array in digits)
    keras.utils.set_random_seed(0)
    for layer in recipe.LAYERS[kind]():
        x, y = recipe.augment(layer, images, labels, size=6)
        assert x.shape == images.shape and x.dtype == "float32"
        assert y.shape == labels.shape
        np.testing.assert_allclose(y.sum(1), 1.0, atol=1e-6)
        changed = np.abs(y - labels).max() > 0
        assert changed == (kind in ("mixup", "cutmix"))
    for array, before in zip((images, labels), digits, strict=True):
        np.testing.assert_array_equal(array, before)


def test_mixing_stays_within_a_part(digits):
    keras.utils.set_random_seed(0)
    _, y = recipe.augment(layers.MixUp(alpha=1.0), *digits, size=6)
    assert y[:6, 6:].max() == 0.0 == y[6:, :6].max()


def test_mixup_by_hand(digits):
    """A label names the partner and the share; the image must follow."""
    images, labels = digits
    keras.utils.set_random_seed(0)
    x, y = recipe.augment(layers.MixUp(alpha=1.0), images, labels)
    np.testing.assert_allclose(
        x, np.tensordot(y, images, axes=1), rtol=1e-5, atol=1e-6
    )


def test_cutmix_pixels_come_from_two_images_of_the_label(digits):
    images, labels = digits
    keras.utils.set_random_seed(0)
    x, y = recipe.augment(layers.CutMix(), images, labels)
    for mixed, label in zip(x, y, strict=True):
        sources = images[label > 0]
        assert len(sources) <= 2
        assert np.isin(mixed, sources).all()


def test_mixup_in_a_model_leaves_labels_alone(digits):
    """A loss that looks at targets alone sees them unmixed."""
    images, _ = digits
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [layers.Input((8, 8, 1)), layers.MixUp(alpha=1.0), layers.Dense(1)]
    )
    # The targets' mean square, whatever MixUp makes of the images.
    model.compile("sgd", lambda targets, outputs: targets**2 + 0 * outputs)
    history = model.fit(images, images, shuffle=False, verbose=0).history
    np.testing.assert_allclose(history["loss"], np.mean(images**2), rtol=1e-5)


@pytest.mark.parametrize("kind", recipe.LAYERS)
def test_layers_train_in_a_model_and_are_silent_in_predict(kind, digits):
    images, _ = digits
    keras.utils.set_random_seed(0)
    model = recipe.build_model(kind)
    # JAX takes half a minute to compile RandAugment's eleven operations.
    model.compile("sgd", "mse", run_eagerly=kind == "randaugment")
    targets = np.zeros((12, 10), "float32")
    history = model.fit(images, targets, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    plain = recipe.build_model()
    # Kernels and biases, without the state of random generators.
    plain.set_weights(
        [ops.convert_to_numpy(w) for w in model.trainable_variables]
    )
    found, expected = (m.predict(images, verbose=0) for m in (model, plain))
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_model_that_is_called_augments_and_noise_does_not(digits):
    """`model(x)` leaves it to the layer, and Keras' defaults differ."""
    images, _ = digits
    for kind, augments in (("moves", True), ("mixup", True), ("noise", False)):
        keras.utils.set_random_seed(0)
        model = recipe.build_model(kind)
        called, rest = (
            ops.convert_to_numpy(outputs)
            for outputs in (model(images), model(images, training=False))
        )
        assert (np.abs(called - rest).max() > 1e-4) == augments


def test_variants_start_from_the_same_weights():
    kernels = []
    for kind in (None, "moves", "mixup"):
        keras.utils.set_random_seed(0)
        kernels.append(recipe.build_model(kind).get_weights()[0])
    np.testing.assert_array_equal(kernels[0], kernels[1])
    np.testing.assert_array_equal(kernels[0], kernels[2])
