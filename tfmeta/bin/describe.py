"""`tfmeta describe`: prints a model's channel groups and what it costs."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tfmeta.bin import shared_flags
from tfmeta.errors import GraphError, UserError
from tfmeta.graph import cost
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Structure
from tfmeta.networks import NETWORKS, spec
from tfmeta.project import ProjectOptions
from tfmeta.supernet import memory
from tfmeta.supernet.options import PruningNetOptions, check_ends

FLAGS = flags.FlagValues()
_MODEL = flags.DEFINE_string(
    "model",
    ProjectOptions.model,
    f"{', '.join(sorted(NETWORKS))}, metapruning:NAME, keras.applications:NAME, module:function, or the path of a "
    ".keras file.",
    flag_values=FLAGS,
)
_SHAPE = flags.DEFINE_list(
    "input_shape", ["32", "32", "3"], "Height, width and channels, for networks built by name.", flag_values=FLAGS
)
_CLASSES = flags.DEFINE_integer("classes", 10, "Number of classes, likewise.", flag_values=FLAGS)
_MULTIPLE_OF = shared_flags.multiple_of(FLAGS, ProjectOptions.multiple_of)
_MIN_RATIO = flags.DEFINE_float(
    "min_ratio", ProjectOptions.min_ratio, "Smallest width as a share of the full one.", flag_values=FLAGS
)
_HIDDEN = flags.DEFINE_integer(
    "hidden",
    None,
    f"Hidden units of each weight generator ({PruningNetOptions.hidden}, or the paper's with metapruning:NAME).",
    lower_bound=1,
    flag_values=FLAGS,
)
_SCALE_IDS = flags.DEFINE_list(
    "scale_ids",
    None,
    "With metapruning:NAME: a vector of the paper's scale ids (-1 to 30), whose structure is told, too.",
    flag_values=FLAGS,
)
_ALLOWED = shared_flags.allow_custom_objects(FLAGS)
flags.register_validator(
    "input_shape",
    lambda value: len(value) == 3 and all(size.isdigit() and int(size) > 0 for size in value),
    message="Expected height,width,channels, for example --input_shape=224,224,3",
    flag_values=FLAGS,
)


def main(argv: Sequence[str]) -> None:
    """Prints the groups, the costs and the size of the search space."""
    shape = tuple(int(size) for size in _SHAPE.value)
    built = spec.build(_MODEL.value, shape, _CLASSES.value, _ALLOWED.value)
    graph = ChannelGraph.from_model(built.model)
    space = _space(built, graph)
    structures = {"full": space.full(), "half width": space.uniform(0.5), "smallest": space.smallest()}
    if _SCALE_IDS.value is not None:
        structures["scale ids"] = _decoded(built, graph, _SCALE_IDS.value)
    print(graph)
    print()
    print(f"{'structure':<12}{'MACs':>16}{'params':>14}{'weights KiB':>13}{'activations KiB':>17}")
    for name, structure in structures.items():
        weights = cost.weight_bytes(graph, structure) / 1024
        peak = cost.peak_activation_bytes(graph, structure) / 1024
        macs, params = cost.macs(graph, structure), cost.params(graph, structure)
        print(f"{name:<12}{macs:>16,}{params:>14,}{weights:>13,.1f}{peak:>17,.1f}")
    print()
    if "scale ids" in structures:
        structure = structures["scale ids"]
        counted = cost.macs(graph, structure, "metapruning") / 1e6
        print(f"Widths of the scale ids: {dict(zip(space.names, structure.widths, strict=True))}")
        print(f"MACs by the formula of the paper's repository: {counted:.3f} M")
    print(_pruning_net(built, graph))
    print(f"Search space: {space.num_genes} free choices, 10^{space.log10_size:.1f} structures")
    single = [name for name, choices in zip(space.names, space.choices, strict=True) if len(choices) == 1]
    if single:
        print(f"Groups with one width only, as these options are: {', '.join(single)}")


def _space(built: spec.Built, graph: ChannelGraph) -> SearchSpace:
    if built.preset is None:
        return SearchSpace.from_graph(graph, _MULTIPLE_OF.value, _MIN_RATIO.value)
    if FLAGS["multiple_of"].present or FLAGS["min_ratio"].present:
        raise UserError(
            f"Model {_MODEL.value!r} comes with the paper's 31 ratios, so --multiple_of and --min_ratio do not "
            "apply. Leave them out, or take the network without 'metapruning:'."
        )
    return built.preset.space(graph)


def _pruning_net(built: spec.Built, graph: ChannelGraph) -> str:
    """What is told of the PruningNet."""
    try:
        check_ends(graph)
    except GraphError as error:
        return f"No PruningNet: {error}"
    hidden = _HIDDEN.value
    options = PruningNetOptions() if hidden is None else PruningNetOptions(hidden)
    if built.preset:
        options = PruningNetOptions.from_preset(built.preset, hidden=hidden)
    needed, free = memory.demand(graph, options), memory.available_bytes()
    units = "the paper's" if built.preset and hidden is None else options.hidden
    return (
        f"PruningNet: {needed.generators:,} weights of generators ({units} hidden "
        f"units), {memory.gibibytes(needed.training_bytes)} in training; up to "
        f"{memory.largest_hidden(graph, options, free)} hidden units fit into {memory.gibibytes(free)} of free memory"
    )


def _decoded(built: spec.Built, graph: ChannelGraph, typed: Sequence[str]) -> Structure:
    if built.preset is None:
        raise UserError("--scale_ids are of the paper's networks. Expected --model=metapruning:NAME.")
    try:
        ids = [int(scale) for scale in typed]
    except ValueError as error:
        raise UserError(f"Expected numbers for --scale_ids, received {','.join(typed)!r}.") from error
    return built.preset.structure(graph, ids)
