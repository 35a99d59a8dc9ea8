"""Cells for recurrent layers, to be imported from this room."""

from kerasrecipes.cells.batch_norm_lstm_cell import (
    BatchNormLSTM,
    BatchNormLSTMCell,
)

__all__ = ["BatchNormLSTM", "BatchNormLSTMCell"]
