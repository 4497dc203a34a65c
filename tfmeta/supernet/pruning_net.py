"""PruningNet: a Keras model that computes any structure of a channel graph with generated weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from tfmeta.errors import SpaceError, UserError
from tfmeta.graph import shape_flows
from tfmeta.graph.answers import gives_probabilities
from tfmeta.graph.channel_graph import ChannelGraph, Node, Value
from tfmeta.graph.reader import layers_of
from tfmeta.graph.rebuild import filled, mapped, set_constants, walk
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Structure
from tfmeta.lazy import keras, tf
from tfmeta.supernet import layer_functions, memory, meta_layers
from tfmeta.supernet.batch_norm import batch_normalise
from tfmeta.supernet.crops import Cropper
from tfmeta.supernet.options import PruningNetOptions, check_ends, default_encodings
from tfmeta.supernet.sampling import draw_widths

if TYPE_CHECKING:
    from tfmeta.distillation import Distillation

# Layer name to its weights by name.
Weights = dict[str, dict[str, Any]]
# Where `Weights` hold the widths themselves, for layers that run at full width. No layer has this name.
WIDTHS = "/widths"
# What a batch normalisation does with its input.
Normalise = Callable[[Node, Any, Mapping[str, Any]], Any]


class PruningNet(keras.Model):
    """Computes any structure of a channel graph with weights that small networks generate from its widths.

    ``net(images, widths)`` gives the model's output for one structure. In training, without widths, a structure is
    drawn for every batch. Batch normalisation always uses the statistics of the batch: a structure's own statistics are
    taken just before it is judged (`tfmeta.supernet.evaluation`). One compiled function serves every structure.

    Compile and fit it as any Keras model. The count of drawn structures is one of its weights, so training that resumes
    from a checkpoint draws the same structures as training that was never stopped.

    Source: Liu et al., MetaPruning: Meta Learning for Automatic Neural Network Channel Pruning, ICCV 2019,
    https://arxiv.org/abs/1903.10258.

    Args:
        graph: the channel graph of the model to prune.
        space: the structures to train on; all multiples of 8 by default.
        options: sizes of the generators and how structures are drawn.
        dtype: a Keras dtype policy, for example "mixed_bfloat16".

    Raises:
        SpaceError: the space belongs to another graph.
        GraphError: the model has several inputs or outputs.
        UserError: training would take more memory than there is; the text says which hidden size fits.
    """

    def __init__(
        self,
        graph: ChannelGraph,
        space: SearchSpace | None = None,
        options: PruningNetOptions | None = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(name=f"pruning_net_{graph.name}", dtype=dtype)
        # The size of what a step computes depends on the drawn widths; XLA needs sizes that are fixed when it compiles.
        self.supports_jit = False
        self.graph = graph
        self.space = space or SearchSpace.from_graph(graph)
        self.options = options or PruningNetOptions()
        if self.space.sizes != tuple(group.size for group in graph.searchable):
            raise SpaceError(f"The search space does not belong to the graph of {graph.name!r}.")
        check_ends(graph)
        memory.check(graph, self.options)
        self._cropper = Cropper(graph)
        self._distillation: Distillation | None = None
        self._meta: dict[str, meta_layers.MetaLayer] = {}
        self._plain: dict[str, Any] = {}
        self._make_layers()
        self._draws = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name="draws")
        self.epochs = self.add_weight(shape=(), dtype="int64", initializer="zeros", trainable=False, name="epochs")
        self.built = True

    def _make_layers(self) -> None:
        names = [group.name for group in self.graph.searchable]
        encodings = self.options.encodings
        encodings = default_encodings(self.graph) if encodings is None else encodings
        for node in self.graph.nodes:
            if node.layer in self._meta or node.layer in self._plain or node.is_source or _only_reshapes(node):
                continue
            if layer_functions.has_own_code(node):
                groups = [names.index(name) for name in encodings.get(node.layer, ()) if name in names]
                encoding = {group: self.graph.searchable[group].size for group in groups}
                hidden, affine = self.options.hidden_of(node.layer), self.options.affine_of(node.layer)
                self._meta[node.layer] = meta_layers.MetaLayer(node, encoding, hidden, affine)
            else:
                self._plain[node.layer] = self._plain_layer(node)
        self._tracked = [*self._meta.values(), *(la for la in self._plain.values() if isinstance(la, keras.Layer))]

    def _plain_layer(self, node: Node) -> Any:
        if node.op.startswith("ops."):
            return node.make(dict(node.config))
        policy = "float32" if node.gives_probabilities else keras.dtype_policies.serialize(self.dtype_policy)
        layer = node.make({**node.config, "dtype": policy})
        if node.weights:  # Keras makes them when the layer is first called
            tensors = {value: keras.KerasTensor((None, *_shape(self.graph, value))) for value in node.inputs}
            args, kwargs = (filled(part, tensors) for part in node.arguments)
            layer(*args, **kwargs)
            set_constants(node, layer)
        return layer

    def call(self, images: Any, widths: Any = None, training: bool = False) -> Any:
        """Returns the output of one structure for `images` `[B, H, W, C]`.

        Args:
            images: the images.
            widths: int32 `[num_searchable]`; by default a drawn structure in training, else the full one.
            training: whether dropout is active and, without widths, a structure is drawn.
        """
        if widths is None:
            widths = self._draw() if training else tf.constant(self.space.full().widths, tf.int32)
        weights = self.weights_for(widths)
        for layer, meta in self._meta.items():
            for penalty in meta.penalties(weights[layer]):
                self.add_loss(penalty)
        outputs = self.forward(images, weights, lambda *args: batch_normalise(*args)[0], training)
        return tf.cast(outputs, tf.float32)

    def _draw(self) -> Any:
        step = tf.cast(self._draws.value, tf.int64)
        self._draws.assign_add(1)
        return draw_widths(self.space, self.options.sampler, self.options.seed, step)

    def weights_for(self, widths: Any) -> Weights:
        """Returns the generated and cropped weights of the structure with these widths, by layer and name."""
        widths = tf.cast(tf.convert_to_tensor(widths), tf.int32)
        if not widths.shape.is_compatible_with([len(self.space.sizes)]):
            raise SpaceError(f"Expected widths of shape ({len(self.space.sizes)},), received {tuple(widths.shape)}.")
        found = {layer: meta.weights_for(widths, self._cropper) for layer, meta in self._meta.items()}
        return {**found, WIDTHS: {WIDTHS: widths}}

    def forward(self, images: Any, weights: Weights, normalise: Normalise, training: bool = False) -> Any:
        """Returns the output `[B, ...]` for `images` with the given weights.

        Args:
            images: `[B, H, W, C]`.
            weights: as from `weights_for`.
            normalise: what batch normalisation does: (node, inputs, weights) → outputs.
            training: whether dropout and random augmentation are active.
        """

        def apply(node: Node, args: Any, kwargs: Any) -> Any:
            if node.op == "BatchNormalization":
                return normalise(node, args[0], weights[node.layer])
            if node.layer in self._meta:
                return layer_functions.apply_layer(node, args[0], weights[node.layer])
            if _only_reshapes(node):
                return layer_functions.reshape(node, args[0])
            if "training" in kwargs:  # what the layer was built with, not what is asked for now
                kwargs = {**kwargs, "training": training}
            layer = self._plain[node.layer]
            if node.constants or not (node.weights or node.rule.follows):
                return layer(*args, **kwargs)
            return self._at_full_width(node, layer, args, kwargs, weights[WIDTHS][WIDTHS])

        def constant(node: Node) -> Any:
            array = tf.constant(node.constants[0])
            array = tf.cast(array, self.compute_dtype) if array.dtype.is_floating else array
            return self._cropped(Value(node.index), array, weights[WIDTHS][WIDTHS], batch=0)

        return walk(self.graph, [tf.cast(images, self.compute_dtype)], apply, constant)[0]

    def _at_full_width(self, node: Node, layer: Any, args: Any, kwargs: Any, widths: Any) -> Any:
        """Runs a layer as it is in the model, on inputs with zeros in place of the channels that are not active."""

        def expanded(value: Value, tensor: Any) -> Any:
            source = self.graph.nodes[value.node]
            axis = source.roles[source.outputs[value.output]]
            return self._cropper.expand(tensor, 1 + source.channel_axes[value.output], axis, widths)

        args, kwargs = (mapped(*pair, expanded) for pair in zip(node.arguments, (args, kwargs), strict=True))
        outputs = layer(*args, **kwargs)
        several = outputs if isinstance(outputs, list | tuple) else [outputs]
        return [self._cropped(Value(node.index, place), each, widths) for place, each in enumerate(several)]

    def _cropped(self, value: Value, tensor: Any, widths: Any, batch: int = 1) -> Any:
        node = self.graph.nodes[value.node]
        axes: list[int | None] = [None] * len(tensor.shape)
        if len(axes) > batch:
            axes[batch + node.channel_axes[value.output]] = node.roles[node.outputs[value.output]]
        return self._cropper.crop(tensor, axes, widths)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """As of any Keras model.

        Raises:
            GraphError: a layer has an option that training would not follow, as weights with constraints.
        """
        for node in self.graph.nodes:
            if node.layer in self._meta:
                meta_layers.check_followed(node)
        super().compile(*args, **kwargs)

    def distil(self, distillation: Distillation | None) -> None:
        """Makes a teacher's answers part of the loss, or no longer when None."""
        self._distillation = distillation

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Returns the compiled loss, in training mixed with the divergence from the teacher."""
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self._distillation is None or not training:
            return loss
        logits = tf.math.log(y_pred + 1e-9) if gives_probabilities(self.graph) else y_pred
        return self._distillation.loss(x, logits, loss)

    def _state(self) -> list[Any]:
        """What training changes besides the weights of layers: the counters, and the random states of dropout."""
        random = (v for layer in self._plain.values() for v in layer.non_trainable_variables if "seed" in v.name)
        return [self._draws, self.epochs, *random]

    def save_own_variables(self, store: Any) -> None:
        """Writes the counters and random states, so that resumed training draws what it would have drawn."""
        for index, variable in enumerate(self._state()):
            store[str(index)] = variable

    def load_own_variables(self, store: Any) -> None:
        """Reads what `save_own_variables` wrote."""
        state = self._state()
        if len(store.keys()) != len(state):
            raise ValueError(f"Expected {len(state)} counters and random states, received {len(store.keys())}.")
        for index, variable in enumerate(state):
            variable.assign(store[str(index)])

    def get_config(self) -> dict[str, Any]:
        """Raises NotImplementedError: a PruningNet is made from a graph."""
        raise NotImplementedError(
            "A PruningNet cannot be saved whole. Save its weights (save_weights, or ModelCheckpoint with "
            "save_weights_only=True) and load them into PruningNet(graph), or save a structure of it: "
            "tfmeta.supernet.evaluation.Evaluator(net).plain_model(structure, images)."
        )

    def load_shared(self, model: Any) -> None:
        """Copies the weights of a plain model of the same graph into the kernels that are not generated."""
        layers = layers_of(model)
        for name, meta in self._meta.items():
            meta.load_shared(layers[name])
        for name, plain in self.full_width_layers().items():
            plain.set_weights(layers[name].get_weights())

    def warm_start(self, model: Any) -> None:
        """Begins with the weights of a plain model of the same graph: generators give cropped ones for every structure.

        Training then varies them with the widths. A structure keeps the first channels of every group, so sort them
        before (`tfmeta.importance.sorting.sort_channels`).

        Args:
            model: a model with the layers of the graph.

        Raises:
            UserError: a batch normalisation has scale or offset in the model and none here.
        """
        layers = layers_of(model)
        for node in self.graph.nodes:
            learns = node.op == "BatchNormalization" and {"gamma", "beta"} & set(node.weights)
            if learns and not self.options.affine_of(node.layer):
                raise UserError(
                    f"Expected a PruningNet whose batch normalisations have scale and offset. Received: {node.layer!r} "
                    "without. Leave out the option affine, or metapruning: before the network's name."
                )
        self.load_shared(model)
        for name, meta in self._meta.items():
            meta.start_generators(layers[name])

    def full_width_layers(self) -> dict[str, Any]:
        """Returns the layers with weights that run at full width, by name."""
        nodes = {node.layer: node for node in self.graph.nodes}
        return {name: la for name, la in self._plain.items() if nodes[name].weights and not nodes[name].constants}

    def hypernetwork_params(self) -> int:
        """Returns the number of weights of all generators."""
        generators = (generator for meta in self._meta.values() for generator in meta.generators.values())
        return sum(int(np.prod(weight.shape)) for generator in generators for weight in generator.weights)

    def widths(self, structure: Structure) -> Any:
        """Returns a structure's widths as the int32 tensor that the network takes.

        Raises:
            SpaceError: the structure does not fit the graph.
        """
        self.graph.kept(structure)
        return tf.constant(structure.widths, tf.int32)


def _only_reshapes(node: Node) -> bool:
    return node.rule.flow is shape_flows.reshape


def _shape(graph: ChannelGraph, value: Value) -> Any:
    return graph.nodes[value.node].shapes[value.output]
