"""Every layer that takes a sequence is in the table of lost masks."""

import inspect
import warnings

import keras
import pytest
from keras import layers

from kerasrecipes.recipes.preparation import lost_masks as recipe

# What a constructor needs, by the argument's name.
NEEDED = {
    **dict.fromkeys(("units", "filters", "kernel_size", "num_heads"), 2),
    **dict.fromkeys(("key_dim", "head_dim", "num_query_heads"), 2),
    **dict.fromkeys(("num_key_value_heads", "output_size", "pool_size"), 2),
    **dict.fromkeys(("rate", "stddev", "scale"), 0.5),
    "n": 2,
    "activation": "relu",
    "axes": 1,
    "dims": (2, 1),
    "target_shape": (6, 8),
    "equation": "abc,cd->abd",
    "output_shape": (8, 4),
}
# For images, sound, text and categories: no sequences of features, like what
# ends in 2D and 3D.
OTHER_DATA = (
    *("Random", "AugMix", "AutoContrast", "Contrast", "CutMix", "Equalization"),
    *("MixUp", "RandAugment", "Solarization", "MelSpectrogram", "STFT"),
    *("IntegerLookup", "StringLookup", "TextVectorization", "CenterCrop"),
    *("Hash", "Category", "Discretization", "Embedding", "Reversible"),
    *("MaxNumBoundingBoxes", "Resizing"),
)
# The base classes; what starts a model; another library's layers; cells; and
# what does with a mask as it is told.
NO_LAYERS = {
    *("Layer", "Wrapper", "InputLayer", "Pipeline", "StackedRNNCells"),
    *("FlaxLayer", "JaxLayer", "TFSMLayer", "TorchModuleWrapper"),
    "Lambda",
    *("LSTMCell", "GRUCell", "SimpleRNNCell"),
}


def takes_sequences(cls):
    parameters = list(inspect.signature(cls.__init__).parameters.values())[1:]
    arguments = {
        p.name: NEEDED[p.name]
        for p in parameters
        if p.default is p.empty
        and p.kind is p.POSITIONAL_OR_KEYWORD
        and p.name in NEEDED
    }
    if cls is layers.RNN:
        arguments["cell"] = layers.LSTMCell(2)
    elif cls is layers.Bidirectional:
        arguments["layer"] = layers.LSTM(2)
    elif issubclass(cls, layers.Wrapper):
        arguments["layer"] = layers.Dense(2)
    elif cls is layers.GroupNormalization:
        arguments["groups"] = 2
    layer = cls(**arguments)
    x = keras.Input((8, 6))
    for inputs in ((x,), ([x, x],), (x, x)):
        try:
            layer(*inputs)
        except (ValueError, TypeError):
            continue
        return True
    return False


def public_layers():
    found = {
        value
        for value in vars(layers).values()
        if inspect.isclass(value) and issubclass(value, layers.Layer)
    }
    return {
        cls
        for cls in found
        if cls.__name__ not in NO_LAYERS
        and not cls.__name__.startswith(OTHER_DATA)
        and not cls.__name__.endswith(("2D", "3D"))
    }


def test_no_layer_is_missing():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = {cls for cls in public_layers() if takes_sequences(cls)}
    assert expected == {getattr(layers, name) for name in recipe.LAYERS}


@pytest.mark.parametrize("name", ["Conv1D", "LSTM", "Flatten", "Identity"])
def test_the_mask_comes_out_where_keras_says_so(name):
    """`compute_mask` is where Keras itself asks a layer."""
    layer = recipe.make_layer(name)
    mask = keras.ops.ones((1, 8), "bool")
    handed_on = None
    if layer.supports_masking:
        handed_on = layer.compute_mask(keras.ops.ones((1, 8, 6)), mask)
    found = recipe.follow_mask(seed=0, name=name)
    assert found["mask comes out"] == (handed_on is not None)
