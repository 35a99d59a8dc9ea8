"""Weight normalization against NumPy and PyTorch, for each kind of layer."""

import keras
import numpy as np
import pytest
from conformance import TORCH_COPY_WARNING, compute_gradients, run_eagerly
from keras import layers, ops

from kerasrecipes.layers import WeightNormalization

pytestmark = pytest.mark.filterwarnings(
    f"ignore:{TORCH_COPY_WARNING}:DeprecationWarning"
)

# A float32 has a relative error of 6e-8, and sums have some dozens of terms.
ERROR = 1e-6

# How to make a layer, the shape of its inputs, and which axes of its kernels
# tell output units apart.
KINDS = {
    "Dense": (lambda: layers.Dense(4, "relu"), (5, 6), (1,)),
    "Conv1D": (lambda: layers.Conv1D(4, 3), (5, 7, 3), (2,)),
    "Conv2D": (lambda: layers.Conv2D(4, 3, groups=2), (5, 6, 5, 6), (3,)),
    "Conv2D, channels first": (
        lambda: layers.Conv2D(4, 1, data_format="channels_first"),
        (5, 3, 1, 1),
        (3,),
    ),
    "Conv2DTranspose": (
        lambda: layers.Conv2DTranspose(4, 3),
        (5, 6, 5, 3),
        (2,),
    ),
    "DepthwiseConv2D": (
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        (5, 6, 5, 3),
        (2, 3),
    ),
    "SimpleRNN": (lambda: layers.SimpleRNN(4), (5, 6, 3), (1,)),
    "LSTM": (lambda: layers.LSTM(4), (5, 6, 3), (1,)),
    "GRU": (lambda: layers.GRU(4, return_sequences=True), (5, 6, 3), (1,)),
    "RNN": (lambda: layers.RNN(layers.LSTMCell(4)), (5, 6, 3), (1,)),
    "stacked": (
        lambda: layers.RNN([layers.GRUCell(4), layers.SimpleRNNCell(3)]),
        (5, 6, 3),
        (1,),
    ),
    "Bidirectional": (
        lambda: layers.Bidirectional(layers.LSTM(4)),
        (5, 6, 3),
        (1,),
    ),
    "TimeDistributed": (
        lambda: layers.TimeDistributed(layers.Dense(4)),
        (5, 6, 3),
        (1,),
    ),
}
# Convolutions of channels first need an accelerator on some backends; one of
# 1 x 1 pixels is a product of matrices that NumPy's twin needs no other for.
every_kind = pytest.mark.parametrize(
    "kind", [k for k in KINDS if "first" not in k]
)


def make_inputs(shape, seed=0):
    return np.random.default_rng(seed).normal(0.5, 2, shape).astype("float32")


def make(kind, **arguments):
    """A built wrapper whose g is not what it starts with, and its inputs."""
    keras.utils.set_random_seed(1)
    function, shape, axes = KINDS[kind]
    wrapper = WeightNormalization(function(), **arguments)
    wrapper.build(shape)
    generator = np.random.default_rng(2)
    for scale in wrapper.scales:
        scale.assign(generator.uniform(0.5, 2, scale.shape))
    return wrapper, make_inputs(shape), axes


def get_kernels(layer):
    """The variables that are kernels, by name, in the order of creation."""
    return [w for w in layer.weights if w.name.endswith("kernel")]


def normalize(v, g, axes):
    """The formula in float64, one unit at a time."""
    w = np.array(v, "float64")
    for unit in np.ndindex(*[v.shape[axis] for axis in axes]):
        place = [slice(None)] * v.ndim
        for axis, index in zip(axes, unit, strict=True):
            place[axis] = index
        place = tuple(place)
        length = sum(x**2 for x in w[place].ravel()) ** 0.5
        w[place] *= g.reshape([v.shape[a] for a in axes])[unit] / length
    return w


def all_lengths(kernel, axes):
    kernel = ops.convert_to_numpy(kernel).astype("float64")
    others = tuple(a for a in range(kernel.ndim) if a not in axes)
    return np.sqrt((kernel**2).sum(others))


# ----------------------------------------------------------------------
# The formula


@every_kind
def test_equals_the_layer_with_the_formula_in_its_kernel(kind):
    wrapper, x, axes = make(kind)
    plain = KINDS[kind][0]()
    plain.build(x.shape)
    plain.set_weights(wrapper.layer.get_weights())
    kernels = get_kernels(plain)
    assert len(kernels) == len(wrapper.scales)
    for kernel, scale, used in zip(
        kernels, wrapper.scales, wrapper.normalized_kernels(), strict=True
    ):
        w = normalize(kernel.numpy(), scale.numpy(), axes)
        np.testing.assert_allclose(
            ops.convert_to_numpy(used), w, rtol=ERROR, atol=ERROR
        )
        kernel.assign(w)
    expected = run_eagerly(plain, x)
    outputs = run_eagerly(wrapper, x)
    # Six steps of a recurrent layer carry an error on.
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-5)


@every_kind
def test_unit_length_before_g(kind):
    wrapper, _, axes = make(kind, scale_initializer="ones")
    for scale in wrapper.scales:
        scale.assign(ops.ones(scale.shape))
    for kernel in wrapper.normalized_kernels():
        np.testing.assert_allclose(all_lengths(kernel, axes), 1, rtol=ERROR)
    lengths = 3 * ops.ones(wrapper.scales[0].shape)
    wrapper.scales[0].assign(lengths)
    kernel = wrapper.normalized_kernels()[0]
    np.testing.assert_allclose(all_lengths(kernel, axes), 3, rtol=ERROR)


@every_kind
def test_starts_as_the_bare_layer(kind):
    function, shape, axes = KINDS[kind]
    keras.utils.set_random_seed(3)
    bare, wrapper = function(), None
    expected = run_eagerly(bare, make_inputs(shape))
    keras.utils.set_random_seed(3)
    wrapper = WeightNormalization(function())
    outputs = run_eagerly(wrapper, make_inputs(shape))
    np.testing.assert_allclose(outputs, expected, rtol=ERROR, atol=ERROR)
    for kernel, scale in zip(get_kernels(bare), wrapper.scales, strict=True):
        lengths = all_lengths(kernel, axes).ravel()
        np.testing.assert_allclose(scale.numpy().ravel(), lengths, rtol=ERROR)


def test_an_output_unit_of_an_lstm_is_a_gate_of_a_unit():
    wrapper, _, _ = make("LSTM")
    assert [tuple(scale.shape) for scale in wrapper.scales] == [(16,), (16,)]
    names = [weight.name for weight in wrapper.trainable_weights]
    assert sorted(names) == [
        "bias",
        "kernel",
        "kernel_scale",
        "recurrent_kernel",
        "recurrent_kernel_scale",
    ]


def test_a_trained_layer_can_be_wrapped():
    dense = layers.Dense(4)
    x = make_inputs((5, 3))
    dense.build(x.shape)
    dense.kernel.assign(5 * make_inputs((3, 4), seed=1))
    expected = run_eagerly(dense, x)
    outputs = run_eagerly(WeightNormalization(dense), x)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


# ----------------------------------------------------------------------
# Gradients


def test_gradients_equal_the_papers_formula():
    """Equation 3: of g, along v; of v, what is left, times g / |v|."""
    wrapper, x, axes = make("Dense", train_scale=True)
    wrapper.layer.activation = None
    y = make_inputs((5, 4), seed=3)
    v, g = wrapper.layer.kernel.numpy(), wrapper.scales[0].numpy()
    by_w = x.astype("float64").T @ y  # of sum(y * (x w + b))
    lengths = all_lengths(v, axes)
    expected_g = (by_w * v).sum(0) / lengths
    expected_v = g / lengths * by_w - g * expected_g / lengths**2 * v
    _, of_g, of_v, of_b = compute_gradients(wrapper, x, y)
    np.testing.assert_allclose(of_g, expected_g, rtol=1e-5)
    np.testing.assert_allclose(of_v, expected_v, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_b, y.sum(0), rtol=1e-5)


@pytest.mark.parametrize("kind", ["Conv1D", "Conv2D", "LSTM", "GRU"])
def test_gradient_of_v_is_orthogonal_to_v(kind):
    wrapper, x, axes = make(kind)
    y = make_inputs(run_eagerly(wrapper, x).shape, seed=3)
    weights = wrapper.trainable_weights
    before = [weight.numpy() for weight in weights]
    _, *gradients = compute_gradients(wrapper, x, y)  # takes a step
    seen = 0
    for weight, v, gradient in zip(weights, before, gradients, strict=True):
        assert np.abs(gradient).max() > 1e-3, weight.path
        if weight.name.endswith("kernel"):
            others = tuple(a for a in range(gradient.ndim) if a not in axes)
            along = (gradient * v).sum(others)
            sizes = all_lengths(gradient, axes) * all_lengths(v, axes)
            np.testing.assert_allclose(along / sizes, 0, atol=1e-5)
            seen += 1
    assert seen == len(wrapper.scales)


def test_weights_of_zero_stay_finite():
    dense = layers.Dense(3, kernel_initializer="zeros")
    wrapper = WeightNormalization(dense, scale_initializer="ones")
    x, y = make_inputs((5, 2)), make_inputs((5, 3), seed=1)
    wrapper.build(x.shape)
    np.testing.assert_array_equal(run_eagerly(wrapper, x), 0)
    for gradient in compute_gradients(wrapper, x, y):
        assert np.isfinite(gradient).all()


# ----------------------------------------------------------------------
# Training, saving


@pytest.mark.parametrize(
    ("kind", "train_scale"),
    [
        ("Dense", False),
        ("Conv1D", True),
        ("Conv2D", True),
        ("LSTM", True),
        ("RNN", False),
    ],
)
def test_fit_and_reload(kind, train_scale, tmp_path):
    function, shape, axes = KINDS[kind]
    wrapper = WeightNormalization(
        function(), train_scale=train_scale, scale_initializer="ones"
    )
    model = keras.Sequential(
        [layers.Input(shape[1:]), wrapper, layers.Flatten(), layers.Dense(1)]
    )
    model.compile("adam", "mse")
    before = {w.path: w.numpy() for w in wrapper.weights}
    x, y = make_inputs(shape), make_inputs((shape[0], 1), seed=1)
    model.fit(x, y, epochs=2, verbose=0)
    trained = {w.path for w in wrapper.trainable_weights}
    assert len(trained) == len(before) - (not train_scale) * len(wrapper.scales)
    for weight in wrapper.weights:
        changed = np.abs(weight.numpy() - before[weight.path]).max() > 0
        assert changed == (weight.path in trained), weight.path
    if not train_scale:
        for kernel in wrapper.normalized_kernels():
            np.testing.assert_allclose(all_lengths(kernel, axes), 1, rtol=ERROR)
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path)
    np.testing.assert_allclose(
        loaded.predict(x, verbose=0), model.predict(x, verbose=0), rtol=ERROR
    )
    assert len(loaded.trainable_weights) == len(model.trainable_weights)


def test_a_cell_is_the_same_as_its_layer():
    x = make_inputs((5, 6, 3))
    keras.utils.set_random_seed(4)
    layer = WeightNormalization(layers.RNN(layers.LSTMCell(4)))
    expected = run_eagerly(layer, x)
    keras.utils.set_random_seed(4)
    cell = layers.RNN(WeightNormalization(layers.LSTMCell(4)))
    np.testing.assert_allclose(run_eagerly(cell, x), expected, atol=1e-6)
    model = keras.Sequential([layers.Input((6, 3)), cell])
    model.compile("sgd", "mse")
    before = [w.numpy() for w in model.trainable_weights]
    assert len(before) == 5
    model.fit(x, np.ones((5, 4)), verbose=0)
    for weight, was in zip(model.trainable_weights, before, strict=True):
        assert np.abs(weight.numpy() - was).max() > 0, weight.path


def test_only_cells_look_like_cells():
    assert WeightNormalization(layers.GRUCell(4)).state_size == 4
    assert not hasattr(WeightNormalization(layers.GRU(4)), "state_size")
    assert not hasattr(WeightNormalization(layers.Dense(4)), "output_size")


def test_states_and_dropout_of_a_recurrent_layer():
    """Dropout goes on: its seed is kept although the scope has no effects."""
    x = make_inputs((5, 6, 3))
    lstm = layers.LSTM(4, dropout=0.5, recurrent_dropout=0.2, return_state=True)
    wrapper = WeightNormalization(lstm)
    states = [np.ones((5, 4), "float32")] * 2
    y, *_ = wrapper(x)
    other, *_ = wrapper(x, initial_state=states)
    assert np.abs(ops.convert_to_numpy(other - y)).max() > 0.01
    one, *_ = wrapper(x, training=True)
    two, *_ = wrapper(x, training=True)
    assert np.abs(ops.convert_to_numpy(one - two)).max() > 0.01


@pytest.mark.parametrize("fit", [False, True])
def test_penalties_count_once(fit):
    def loss_of(wrap):
        keras.utils.set_random_seed(5)
        dense = layers.Dense(
            4, activity_regularizer="l2", kernel_regularizer="l2"
        )
        model = keras.Sequential([layers.Input((3,)), wrap(dense)])
        model.compile("sgd", "mse")
        x, y = make_inputs((5, 3)), make_inputs((5, 4), seed=1)
        if fit:
            return model.fit(x, y, verbose=0).history["loss"][0]
        return model.evaluate(x, y, verbose=0)

    bare = loss_of(lambda layer: layer)
    assert loss_of(WeightNormalization) == pytest.approx(bare, rel=1e-5)


# ----------------------------------------------------------------------
# The start from data


@pytest.mark.parametrize(
    "kind",
    ["Dense", "Conv1D", "Conv2D", "Conv2DTranspose", "DepthwiseConv2D"],
)
def test_sums_have_mean_0_and_variance_1(kind):
    wrapper, x, _ = make(kind)
    activation = wrapper.layer.activation
    outputs = wrapper.initialize_from_data(x)
    assert wrapper.layer.activation is activation
    np.testing.assert_allclose(
        ops.convert_to_numpy(outputs), run_eagerly(wrapper, x), atol=ERROR
    )
    wrapper.layer.activation = None
    sums = run_eagerly(wrapper, x)
    sums = sums.reshape(-1, sums.shape[-1])
    np.testing.assert_allclose(sums.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(sums.var(0), 1, rtol=1e-4)


def test_start_equals_the_papers_formula():
    """g = 1 / sigma and b = -mu / sigma of t = v . x / |v|."""
    dense = layers.Dense(4, "tanh")
    x = make_inputs((50, 3))
    wrapper = WeightNormalization(dense, train_scale=False)
    wrapper.initialize_from_data(x)  # builds it
    v = dense.kernel.numpy().astype("float64")
    t = x @ (v / np.sqrt((v**2).sum(0)))
    g = wrapper.scales[0].numpy()
    np.testing.assert_allclose(g, 1 / t.std(0), rtol=1e-5)
    np.testing.assert_allclose(
        dense.bias.numpy(), -t.mean(0) / t.std(0), rtol=1e-4, atol=1e-5
    )


def test_start_without_a_bias_and_with_channels_first():
    wrapper, x, _ = make("Conv2D, channels first")
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow has no such convolution on a CPU.")
    wrapper.initialize_from_data(x)
    sums = run_eagerly(wrapper, x)
    np.testing.assert_allclose(sums.mean((0, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(sums.var((0, 2, 3)), 1, rtol=1e-4)


def test_start_without_a_bias():
    wrapper = WeightNormalization(layers.Dense(4, use_bias=False))
    x = make_inputs((50, 3))
    sums = ops.convert_to_numpy(wrapper.initialize_from_data(x))
    np.testing.assert_allclose(sums.var(0), 1, rtol=1e-4)
    assert np.abs(sums.mean(0)).max() > 0.1


def test_calls_and_training_do_not_start_again():
    wrapper, x, _ = make("Dense")
    before = [w.numpy() for w in wrapper.weights]
    wrapper(x, training=True)
    for weight, was in zip(wrapper.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), was)


@pytest.mark.parametrize("kind", ["LSTM", "RNN", "TimeDistributed"])
def test_start_refuses_what_is_not_one_product(kind):
    wrapper, x, _ = make(kind)
    with pytest.raises(ValueError, match="Only a dense or convolutional"):
        wrapper.initialize_from_data(x)


def test_start_refuses_a_batch_of_one():
    wrapper, x, _ = make("Dense")
    bias = wrapper.layer.bias.numpy()
    with pytest.raises(ValueError, match="values must vary over the batch"):
        wrapper.initialize_from_data(x[:1])
    np.testing.assert_array_equal(wrapper.layer.bias.numpy(), bias)
    assert wrapper.layer.activation is not None


# ----------------------------------------------------------------------
# What cannot be wrapped


@pytest.mark.parametrize(
    "layer",
    [layers.Flatten(), layers.EinsumDense("ab,bc->ac", output_shape=4)],
)
def test_refuses_a_layer_without_known_units(layer):
    with pytest.raises(ValueError, match="Only a layer with a kernel"):
        WeightNormalization(layer).build((5, 3))


@pytest.mark.parametrize("make_cell", [layers.LSTMCell, layers.GRUCell])
def test_refuses_a_cell_with_dropout(make_cell):
    for cell in (make_cell(4, dropout=0.1), make_cell(4, recurrent_dropout=1)):
        with pytest.raises(ValueError, match="a cell without dropout"):
            WeightNormalization(cell)
        assert WeightNormalization(layers.RNN(cell)).layer.cell is cell


# ----------------------------------------------------------------------
# Another implementation


@pytest.mark.parity
@pytest.mark.parametrize("kind", ["Dense", "Conv1D", "Conv2D"])
def test_parity_with_torch(kind):
    torch = pytest.importorskip("torch", reason="needs torch")
    wrapper, x, _ = make(kind)
    wrapper.layer.activation = None
    v = wrapper.layer.kernel.numpy()
    peer = {
        "Dense": lambda: torch.nn.Linear(6, 4),
        "Conv1D": lambda: torch.nn.Conv1d(3, 4, 3),
        "Conv2D": lambda: torch.nn.Conv2d(6, 4, 3, groups=2),
    }[kind]()
    if kind == "Conv2D":  # groups must divide the filters, too
        layer = layers.Conv2D(4, 3, groups=2)
        wrapper = WeightNormalization(layer)
        wrapper.build(x.shape)
        wrapper.scales[0].assign([0.5, 1.0, 1.5, 2.0])
        v = layer.kernel.numpy()
    peer = torch.nn.utils.parametrizations.weight_norm(peer, dim=0)
    g = wrapper.scales[0].numpy()
    y = make_inputs(run_eagerly(wrapper, x).shape, seed=3)

    def units_first(kernel):  # (..., in, out) to (out, in, ...)
        return np.moveaxis(kernel, (-1, -2), (0, 1))

    def channels_second(values):
        return np.ascontiguousarray(np.moveaxis(values, -1, 1))

    parts = peer.parametrizations.weight
    with torch.no_grad():
        parts.original1.copy_(torch.tensor(units_first(v).copy()))
        parts.original0.copy_(
            torch.tensor(g.reshape(parts.original0.shape).copy())
        )
        peer.bias.zero_()
    watched = torch.tensor(channels_second(x), requires_grad=True)
    expected = peer(watched)
    (expected * torch.tensor(channels_second(y))).sum().backward()
    outputs = channels_second(run_eagerly(wrapper, x))
    near = {"rtol": 1e-4, "atol": 1e-4}  # sums of up to 300 products
    np.testing.assert_allclose(outputs, expected.detach().numpy(), **near)
    of_x, of_g, of_v, of_b = compute_gradients(wrapper, x, y)
    for ours, theirs in (
        (channels_second(of_x), watched.grad),
        (of_g, parts.original0.grad.ravel()),
        (units_first(of_v), parts.original1.grad),
        (of_b, peer.bias.grad),
    ):
        np.testing.assert_allclose(ours, theirs.numpy(), **near)


@pytest.mark.parity
def test_parity_with_an_lstm_of_torch():
    torch = pytest.importorskip("torch", reason="needs torch")
    wrapper, x, _ = make("LSTM")
    peer = torch.nn.LSTM(3, 4, batch_first=True)
    for name in ("weight_ih_l0", "weight_hh_l0"):
        torch.nn.utils.parametrizations.weight_norm(peer, name, dim=0)
    kernels = get_kernels(wrapper.layer)
    bias = wrapper.layer.weights[2].numpy()
    names = ("weight_ih_l0", "weight_hh_l0")
    with torch.no_grad():
        for name, kernel, scale in zip(
            names, kernels, wrapper.scales, strict=True
        ):
            parts = getattr(peer.parametrizations, name)
            parts.original1.copy_(torch.tensor(kernel.numpy().T.copy()))
            parts.original0.copy_(torch.tensor(scale.numpy())[:, None])
        # Both have the gates in the order i, f, c, o.
        peer.bias_ih_l0.copy_(torch.tensor(bias))
        peer.bias_hh_l0.zero_()
        expected = peer(torch.tensor(x))[0][:, -1]
    outputs = run_eagerly(wrapper, x)
    np.testing.assert_allclose(outputs, expected.numpy(), atol=1e-5)
