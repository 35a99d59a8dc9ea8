"""What a model is trained to make small, to be imported from this room."""

from kerasrecipes.losses.adaptive_robust_likelihood import (
    AdaptiveRobustLikelihood,
    log_partition,
)
from kerasrecipes.losses.adaptive_robust_loss import (
    AdaptiveRobustLoss,
    general_robust_loss,
)

__all__ = [
    "AdaptiveRobustLikelihood",
    "AdaptiveRobustLoss",
    "general_robust_loss",
    "log_partition",
]
