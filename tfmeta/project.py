"""A project: one model and one data set in one work directory, from which every stage takes what it needs."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfmeta import data, files
from tfmeta.data.options import DataOptions
from tfmeta.errors import GraphError, UserError, WorkdirError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.networks import spec
from tfmeta.supernet.options import PruningNetOptions
from tfmeta.workdir import Workdir

if TYPE_CHECKING:
    from tfmeta.data.splits import Splits
    from tfmeta.supernet.pruning_net import PruningNet


@dataclass(frozen=True)
class ProjectOptions:
    """What a project is about. It never changes within a work directory.

    Attributes:
        model: the network to prune, see `tfmeta.networks.spec`.
        allow_custom_objects: modules whose layers a saved model may be made of.
        dataset: name of the data set, see `tfmeta.data`.
        data: how it is found, split and shaped.
        multiple_of: widths are multiples of this.
        step_device: fingerprint of the device that `multiple_of` is the step of, None where it is no device's.
        min_ratio: smallest width as a share of the full one.
        hidden: hidden units of the weight generators; None takes the default, or the paper's in a preset.
        sampler: how structures are drawn in training; None takes the default, or the paper's in a preset.
        warm_start: criterion of importance by which the channels of the model's own weights are sorted for the
            PruningNet to begin with, a name in `tfmeta.importance.CRITERIA`; None begins with random weights.
        seed: of initial weights and drawn structures.
    """

    model: str = "mobilenet_v1?width=0.25"
    allow_custom_objects: tuple[str, ...] = ()
    dataset: str = "digits"
    data: DataOptions = field(default_factory=DataOptions)
    multiple_of: int = 8
    step_device: str | None = None
    min_ratio: float = 0.1
    hidden: int | None = None
    sampler: str | None = None
    warm_start: str | None = None
    seed: int = 0

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> ProjectOptions:
        """Returns the options whose `dataclasses.asdict` is ``values``.

        Raises:
            WorkdirError: they are not.
        """
        try:
            allowed = tuple(values.get("allow_custom_objects", ()))
            return cls(**{**values, "data": DataOptions(**values["data"]), "allow_custom_objects": allowed})
        except (KeyError, TypeError) as error:
            raise WorkdirError(
                f"The options of the project in config.json cannot be read ({error}). They are of another version of "
                "tfmeta, or damaged: restore the file, or begin a new --workdir."
            ) from error


class Project:
    """The parts of a project, each made when first asked for.

    Args:
        workdir: its folder.
        options: what it is about; None takes what the folder was begun with.
        staircase: the file of ``tflite-bench staircase`` whose step the options have, to be kept in the folder.

    Raises:
        WorkdirError: the folder belongs to another project, or to none yet.
    """

    def __init__(
        self,
        workdir: Workdir,
        options: ProjectOptions | None = None,
        staircase: str | os.PathLike[str] | None = None,
    ) -> None:
        self.workdir = workdir
        self._staircase = staircase
        if options is None:
            options = ProjectOptions.from_json(workdir.section("project", "train"))
        self.options = options
        if workdir.begun:
            workdir.check("project", asdict(options))

    @functools.cached_property
    def splits(self) -> Splits:
        """The data."""
        return data.load(self.options.dataset, self.options.data)

    @functools.cached_property
    def built(self) -> spec.Built:
        """The network to prune, at full width."""
        from tfmeta.training import set_seed

        set_seed(self.options.seed)
        options, splits = self.options, self.splits
        return spec.build(options.model, splits.image_shape, len(splits.class_names), options.allow_custom_objects)

    @functools.cached_property
    def custom_objects(self) -> dict[str, Any]:
        """Classes and functions by name, besides those of Keras, that the project's saved models may be made of."""
        return spec.custom_objects(self.options.model, self.options.allow_custom_objects)

    @functools.cached_property
    def graph(self) -> ChannelGraph:
        """The channel graph of the network.

        Raises:
            GraphError: the network cannot be read, or has no fixed input shape.
            UserError: the network does not fit the data.
            WorkdirError: the file of the model now holds another one.
        """
        graph = ChannelGraph.from_model(self.built.model)
        check_fit(graph, self.splits, f"data set {self.options.dataset!r}")
        if self.workdir.begun:
            self.workdir.check("graph", {"fingerprint": graph.fingerprint})
        return graph

    @functools.cached_property
    def space(self) -> SearchSpace:
        """The search space. From here on, the work directory belongs to this project.

        Raises:
            UserError: there is nothing to choose.
        """
        options = self.options
        if self.built.preset is not None:
            if (options.multiple_of, options.min_ratio) != (ProjectOptions.multiple_of, ProjectOptions.min_ratio):
                raise UserError(
                    f"Model {options.model!r} comes with the paper's 31 ratios, so --multiple_of and --min_ratio do "
                    "not apply. Leave them out, or take the network without 'metapruning:'."
                )
            space = self.built.preset.space(self.graph)
        else:
            space = SearchSpace.from_graph(self.graph, self.options.multiple_of, self.options.min_ratio)
        check_choices(space, self.graph)
        begun, path = self.workdir.begun, self.workdir.path / "space.json"
        self.workdir.claim("project", asdict(self.options), begun=begun)
        self.workdir.claim("graph", {"fingerprint": self.graph.fingerprint}, begun=begun)
        if not (begun and path.exists()):
            files.write_json(path, {"graph": self.graph.to_json(), "space": space.to_json()})
        self._keep_staircase(begun)
        return space

    def _keep_staircase(self, begun: bool) -> None:
        kept = self.workdir.staircase
        if self.options.step_device is None:
            kept.unlink(missing_ok=True)  # of options that nothing was begun with
        elif self._staircase is not None and not (begun and kept.exists()):
            files.write_bytes(kept, Path(self._staircase).read_bytes())

    def first_net(self) -> PruningNet:
        """Returns the PruningNet as training begins with it.

        Raises:
            UserError: it is to begin with the model's weights, and the model has none, or the criterion cannot answer.
        """
        net, criterion = self.new_net(), self.options.warm_start
        if criterion is not None:
            from tfmeta.importance import score
            from tfmeta.importance.sorting import sort_channels

            self.built.check_trained(self.options.model, self.options.data.input_range)
            model = self.built.model
            scores = score(criterion, model, self.graph, self.splits, seed=self.options.seed)
            net.warm_start(sort_channels(model, scores))
        return net

    def new_net(self) -> PruningNet:
        """Returns an untrained PruningNet with random weights."""
        from tfmeta.supernet.pruning_net import PruningNet
        from tfmeta.training import set_seed

        options, preset, default = self.options, self.built.preset, PruningNetOptions()
        if preset is None:
            hidden = default.hidden if options.hidden is None else options.hidden
            sampler = default.sampler if options.sampler is None else options.sampler
            net_options = PruningNetOptions(hidden=hidden, sampler=sampler, seed=options.seed)
        else:
            net_options = PruningNetOptions.from_preset(
                preset, hidden=options.hidden, sampler=options.sampler, seed=options.seed
            )
        space = self.space
        set_seed(options.seed)
        return PruningNet(self.graph, space, net_options)

    @functools.cached_property
    def net(self) -> PruningNet:
        """The trained PruningNet.

        Raises:
            WorkdirError: it is not trained yet.
            TrainingError: its weights are damaged.
        """
        from tfmeta.training import load_weights

        path = self.workdir.checkpoint("pruning_net")
        if not path.exists():
            raise WorkdirError(f"The PruningNet is not trained. Run first: tfmeta train --workdir={self.workdir.path}")
        net = self.new_net()
        load_weights(net, path)
        return net


def check_fit(graph: ChannelGraph, splits: Splits, data_set: str = "the data set") -> None:
    """Raises GraphError or UserError where a model does not take the images of ``splits``, or gives other answers.

    Args:
        graph: of the model.
        splits: the data.
        data_set: what it is called.
    """
    ends = graph.inputs, graph.outputs
    inputs, outputs = (tuple(graph.nodes[v.node].shapes[v.output] for v in values) for values in ends)
    image, answer = tuple(splits.image_shape), splits.output_shape
    if (len(inputs), len(outputs)) != (1, 1):
        raise GraphError(
            f"Model {graph.name!r} has {len(inputs)} inputs and {len(outputs)} outputs. Expected one of each: take the "
            "part of the model from one input to one output."
        )
    if any(size is None for size in inputs[0]):
        raise GraphError(
            f"Model {graph.name!r} has the input shape {inputs[0]}. Expected fixed height, width and channels: build "
            f"it with keras.Input({image})."
        )
    if (inputs[0], outputs[0]) != (image, answer):
        raise UserError(
            f"Model {graph.name!r} maps {inputs[0]} to {outputs[0]}, but {data_set} has images {image} and "
            f"{splits.num_classes} classes{' for each pixel' if splits.label_shape else ''}. Set --image_size, or take "
            "a model for this data."
        )


def check_choices(space: SearchSpace, graph: ChannelGraph) -> None:
    """Raises UserError where every group of ``graph`` has one width only."""
    if space.num_genes == 0:
        raise UserError(
            f"Model {graph.name!r} has no channels to choose: every group must stay as it is, or has one width only. "
            "tfmeta describe tells why; lower --multiple_of or --min_ratio, or take a wider model."
        )
