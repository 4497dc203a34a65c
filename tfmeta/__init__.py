"""tfmeta: channel pruning search for Keras models, down to TensorFlow Lite files.

The names below are the public ones. Nothing here imports TensorFlow; what needs it does so when it is used.
"""

from typing import TYPE_CHECKING, Any

from tfmeta import search
from tfmeta.data import load as load_data
from tfmeta.errors import UserError
from tfmeta.export.tflite import export_tflite
from tfmeta.graph import cost, rules
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Selection, Structure
from tfmeta.importance.l1 import l1_scores
from tfmeta.networks.spec import build_network
from tfmeta.objectives import Constraint
from tfmeta.prune import prune
from tfmeta.training import TrainOptions, fit, train_plain

if TYPE_CHECKING:
    from tfmeta.supernet.pruning_net import PruningNet

__version__ = "0.1.0"

__all__ = [
    "ChannelGraph",
    "Constraint",
    "PruningNet",
    "SearchSpace",
    "Selection",
    "Structure",
    "TrainOptions",
    "UserError",
    "build_network",
    "cost",
    "export_tflite",
    "fit",
    "l1_scores",
    "load_data",
    "prune",
    "rules",
    "search",
    "train_plain",
]


def __getattr__(name: str) -> Any:
    if name == "PruningNet":  # a Keras class: importing it imports TensorFlow
        from tfmeta.supernet.pruning_net import PruningNet

        return PruningNet
    raise AttributeError(f"module 'tfmeta' has no attribute {name!r}")
