from kerasrecipes.layers.drop_block_2d import DropBlock2D
from kerasrecipes.layers.drop_connect_dense import DropConnectDense
from kerasrecipes.layers.local_response_normalization import (
    LocalResponseNormalization,
)

__all__ = ["DropBlock2D", "DropConnectDense", "LocalResponseNormalization"]
