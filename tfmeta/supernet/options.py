"""Options of a PruningNet, and the encoding that it uses unless told otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tfmeta.errors import GraphError, UserError
from tfmeta.graph.channel_graph import ChannelGraph, is_kernel

if TYPE_CHECKING:
    from tfmeta.networks.preset import Preset


@dataclass(frozen=True)
class PruningNetOptions:
    """How the weights are generated and how structures are drawn.

    Attributes:
        hidden: hidden units of each kernel's generator, one number or layer name to number. The generators hold about
            `hidden` + 1 times the weights of the network. The paper takes 32 or 64.
        encodings: layer name to the groups whose relative widths its generator sees; `default_encodings` by default. A
            layer without an entry has an ordinary kernel that is cropped.
        affine: whether batch normalisation has scale and offset, one answer or layer name to answer.
        sampler: how structures are drawn in training, a name in `tfmeta.supernet.sampling.SAMPLERS`.
        seed: seed of the drawn structures.
    """

    hidden: int | Mapping[str, int] = 8
    encodings: Mapping[str, tuple[str, ...]] | None = None
    affine: bool | Mapping[str, bool] = True
    sampler: str = "spread"
    seed: int = 0

    def __post_init__(self) -> None:
        sizes = self.hidden.values() if isinstance(self.hidden, Mapping) else (self.hidden,)
        if any(size < 1 for size in sizes):
            raise UserError(f"Expected at least 1 hidden unit, received hidden={self.hidden}.")

    @classmethod
    def from_preset(
        cls, preset: Preset, *, hidden: int | None = None, sampler: str | None = None, seed: int = 0
    ) -> PruningNetOptions:
        """Returns the options of the paper's PruningNet.

        Args:
            preset: the paper's choices, from `tfmeta.networks.PRESETS`.
            hidden: hidden units instead of the paper's.
            sampler: how structures are drawn instead of the paper's independent uniform draws.
            seed: seed of the drawn structures.
        """
        return cls(
            hidden=preset.hidden if hidden is None else hidden,
            encodings=preset.encodings,
            affine=dict.fromkeys(preset.affine, True),
            sampler="uniform" if sampler is None else sampler,
            seed=seed,
        )

    def hidden_of(self, layer: str) -> int:
        """Returns the hidden units of a layer's generator."""
        return self.hidden.get(layer, 1) if isinstance(self.hidden, Mapping) else self.hidden

    def affine_of(self, layer: str) -> bool:
        """Returns whether a batch normalisation has scale and offset."""
        return self.affine.get(layer, False) if isinstance(self.affine, Mapping) else self.affine


def check_ends(graph: ChannelGraph) -> None:
    """Raises GraphError where a model has several inputs or outputs, of which a PruningNet takes one each."""
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise GraphError(
            f"Model {graph.name!r} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs. Expected one "
            "of each: prune and retrain the part of the model from one input to one output."
        )


def default_encodings(graph: ChannelGraph) -> dict[str, tuple[str, ...]]:
    """Returns, for every layer with a kernel except classifiers, the groups it reads and the groups it makes.

    Classifiers keep an ordinary kernel, as in the paper: their width is fixed, and a generated one only adds weights.
    """
    encodings = {}
    for node in graph.nodes:
        if node.is_source or not any(is_kernel(name) for name in node.weights):
            continue
        groups = [graph.groups[g] for role in ("in", "out") for g in graph.groups_of_axis(node.roles[role])]
        made = [graph.groups[g] for g in graph.groups_of_axis(node.roles["out"])]
        if all(group.pinned for group in made):
            continue
        encodings[node.layer] = tuple(dict.fromkeys(group.name for group in groups if group.pinned is None))
    return encodings
