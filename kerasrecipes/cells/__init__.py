"""Cells for recurrent layers, to be imported from this room."""

from kerasrecipes.cells.ablated_lstm_cell import AblatedLSTMCell
from kerasrecipes.cells.batch_norm_lstm_cell import (
    BatchNormLSTM,
    BatchNormLSTMCell,
)
from kerasrecipes.cells.coupled_gate_lstm_cell import CoupledGateLSTMCell
from kerasrecipes.cells.mgu_cell import MGUCell
from kerasrecipes.cells.mutated_cell import MutatedCell
from kerasrecipes.cells.peephole_lstm_cell import PeepholeLSTMCell
from kerasrecipes.cells.rwa_cell import RWACell
from kerasrecipes.cells.sru_cell import SRUCell
from kerasrecipes.cells.zoneout_cell import ZoneoutCell

__all__ = [
    "AblatedLSTMCell",
    "BatchNormLSTM",
    "BatchNormLSTMCell",
    "CoupledGateLSTMCell",
    "MGUCell",
    "MutatedCell",
    "PeepholeLSTMCell",
    "RWACell",
    "SRUCell",
    "ZoneoutCell",
]
