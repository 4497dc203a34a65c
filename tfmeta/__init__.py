"""tfmeta: channel pruning search for Keras models, down to TensorFlow Lite files."""

from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Selection, Structure
from tfmeta.prune import prune

__version__ = "0.1.0"

__all__ = ["ChannelGraph", "SearchSpace", "Selection", "Structure", "cost", "prune"]
