"""The file of a structure has the operators and shapes of the trained network's."""

import pytest

from tests import nets
from tfmeta.errors import UserError
from tfmeta.export import converter, flatbuffer
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.latency.conversion import structure_file
from tfmeta.prune import prune


def operators(data):
    """Operators in order, each with type, shape and constancy of its inputs."""
    return [
        (one.op, one.version, [(t.shape, t.dtype, t.constant) for t in one.inputs])
        for one in flatbuffer.parse(data).operators
    ]


def of_trained(model, structure):
    named = converter.with_batch_one(prune(model, structure))
    return converter.run(named, converter.make(named))


@pytest.mark.parametrize("name", nets.TINY)
def test_operators_are_those_of_the_pruned_network(name, rng):
    model = nets.tiny(name)
    graph = ChannelGraph.from_model(model)
    structure = SearchSpace.from_graph(graph, multiple_of=2).sample(rng)
    assert operators(structure_file(graph, structure, "fp32")) == operators(of_trained(model, structure))


def test_a_batch_norm_that_stands_alone_stays(model, graph, space, rng):
    # With the statistics that Keras begins with it adds 0, which the converter would leave out.
    trained = nets.randomise(type(model).from_config(model.get_config()), rng)
    found = operators(structure_file(graph, space.smallest(), "fp32"))
    assert found == operators(of_trained(trained, space.smallest()))
    # The sum of the branches, and the batch norm's own product and sum.
    assert [one[0] for one in found].count("ADD") == 2
    assert [one[0] for one in found].count("MUL") == 1


def test_int8_needs_no_images(graph, space):
    contents = flatbuffer.parse(structure_file(graph, space.smallest(), "int8"))
    dtypes = {t.dtype for one in contents.operators if one.op == "CONV_2D" for t in one.outputs}
    assert dtypes == {"INT8"}


def test_unknown_scheme(graph, space):
    with pytest.raises(UserError, match=r"Unknown quantization scheme 'int3'\. Expected one of: .*fp32"):
        structure_file(graph, space.smallest(), "int3")
