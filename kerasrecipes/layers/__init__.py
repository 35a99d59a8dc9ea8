from kerasrecipes.layers.append_shape_and_scale import AppendShapeAndScale
from kerasrecipes.layers.cosine_dense import CosineDense
from kerasrecipes.layers.drop_block_2d import DropBlock2D
from kerasrecipes.layers.drop_connect_dense import DropConnectDense
from kerasrecipes.layers.local_response_normalization import (
    LocalResponseNormalization,
)
from kerasrecipes.layers.locally_connected_1d import LocallyConnected1D
from kerasrecipes.layers.masked_conv_2d import MaskedConv2D
from kerasrecipes.layers.monte_carlo_dropout import MonteCarloDropout
from kerasrecipes.layers.pooled_rnn import QRNN, SRU
from kerasrecipes.layers.streaming_normalization import StreamingNormalization
from kerasrecipes.layers.weight_normalization import WeightNormalization

__all__ = [
    "QRNN",
    "SRU",
    "AppendShapeAndScale",
    "CosineDense",
    "DropBlock2D",
    "DropConnectDense",
    "LocalResponseNormalization",
    "LocallyConnected1D",
    "MaskedConv2D",
    "MonteCarloDropout",
    "StreamingNormalization",
    "WeightNormalization",
]
