from kerasrecipes.layers.local_response_normalization import (
    LocalResponseNormalization,
)

__all__ = ["LocalResponseNormalization"]
