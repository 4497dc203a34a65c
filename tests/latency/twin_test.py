"""A twin is the converted file in all that takes time, and is made without converting."""

import functools
import re

import numpy as np
import pytest

from tests.latency.couplings import Converting, converted, executed, graph_of, operators
from tests.nets import ODD, TINY
from tfmeta.errors import ExportError, SpaceError, UserError
from tfmeta.export import SCHEMES
from tfmeta.graph import cost
from tfmeta.graph.structure import Structure
from tfmeta.latency.probes import Lengths, draw_probes
from tfmeta.latency.template import Template
from tfmeta.latency.twin import Twins
from tfmeta.networks import NETWORKS


@functools.cache
def twins(name, scheme):
    return Twins(graph_of(name), scheme, convert=Converting(name))


def full(name):
    return graph_of(name).full


def random_structure(name, seed):
    """A structure without single channels, which are another matter."""
    rng = np.random.default_rng(seed)
    return Structure(tuple(int(rng.integers(max(2, size // 2), size + 1)) for size in full(name).widths))


# Of some fifty layers, which take as long to convert as all others together: in one scheme.
DEEP = ("mobilenet_v2", "resnet50")

CASES = [
    *[(scheme, name, 1) for name in NETWORKS for scheme in ("fp32", "int8") if scheme == "int8" or name not in DEEP],
    *[("fp32", name, 1) for name in (*TINY, *ODD) if name != "grouped"],  # whose groups have two channels: converted
    ("int8", "concat", 1),
    ("dynamic_int8", "unet", 1),  # transposed convolutions: int8 from 1024 weights on
    *[(scheme, "mixed", seed) for scheme in sorted(SCHEMES) for seed in (1, 2)],
]


@pytest.mark.parametrize(("scheme", "name", "seed"), CASES)
def test_a_twin_is_the_converted_file_in_all_but_values(scheme, name, seed):
    structure = random_structure(name, seed)
    assert twins(name, scheme).reason_against(structure) is None
    ours, theirs = twins(name, scheme).file(structure), converted(name, structure, scheme)
    assert operators(ours) == operators(theirs)
    tensors = sum(len(one[3]) for one in operators(theirs))
    # At most five vectors a tensor, each with up to 15 bytes of padding and an empty one in the skeleton.
    assert abs(len(ours) - len(theirs)) <= 24 * 5 * tensors
    assert abs(len(ours) / len(theirs) - 1) < 0.1
    steps, answer = executed(ours)
    assert steps == executed(theirs)[0]
    assert np.isfinite(answer).all()


@pytest.mark.parametrize(("scheme", "name", "seed"), CASES)
def test_its_operators_have_the_multiply_adds_of_the_network(scheme, name, seed):
    widths = np.array([full(name).widths, random_structure(name, seed).widths])
    found = twins(name, scheme).work.of(widths)[:, :, 0].sum(1)
    np.testing.assert_array_equal(found, cost.macs(graph_of(name), widths))


@pytest.mark.parametrize("scheme", ["fp32", "int8", "dynamic_int8"])
def test_written_in_full_it_computes_what_the_full_file_computes(scheme):
    template = Template.make(graph_of("mixed"), scheme, Converting("mixed"))
    written = template.layout.write(template.lengths.at(full("mixed")))
    theirs = converted("mixed", full("mixed"), scheme)
    assert operators(written) == operators(theirs)
    np.testing.assert_array_equal(executed(written)[1], executed(theirs)[1])


def test_types_follow_the_number_of_weights():
    def kinds(structure):
        return [one[3][1][1] for one in operators(twins("mixed", "dynamic_int8").file(structure)) if len(one[3]) == 4]

    structure = random_structure("mixed", 1)
    assert {*kinds(full("mixed"))} == {*kinds(structure)} == {"INT8", "FLOAT32"}
    assert kinds(full("mixed")).count("INT8") > kinds(structure).count("INT8")


def test_only_the_full_network_and_a_probe_are_converted(tmp_path):
    graph, converting = graph_of("plain"), Converting("plain")
    structures = [Structure(widths) for widths in ((2, 3, 4), (6, 8, 4), (5, 2, 2))]
    first = Twins(graph, "fp32", tmp_path, convert=converting)
    assert first.file(full("plain")) == converted("plain", full("plain"), "fp32")
    assert converting.asked == [full("plain")]
    made = [first.file(one) for one in structures]
    assert converting.asked == [full("plain"), *draw_probes(Lengths.of(graph))]
    again = Twins(graph, "fp32", tmp_path, convert=converting)
    assert [again.file(one) for one in (*structures, full("plain"))] == [*made, first.file(full("plain"))]
    assert len(converting.asked) == 2


@pytest.mark.parametrize(
    ("widths", "text"),
    [
        ((6, 8), "Expected widths for the 3 searchable groups of 'plain', received 2. Take a structure of this"),
        ((6, 9, 5), "Expected at most the 8 channels of group 'conv2', received 9. Take a structure of this"),
    ],
)
def test_a_structure_outside_of_the_space(widths, text):
    with pytest.raises(SpaceError, match=text):
        twins("plain", "fp32").file(Structure(widths))


def test_an_unknown_scheme():
    with pytest.raises(UserError, match="Unknown quantization scheme 'int3'"):
        Twins(graph_of("plain"), "int3").file(full("plain"))


def test_single_channels_are_converted_and_it_says_so_once(capsys):
    converting = Converting("depthwise")
    ours = Twins(graph_of("depthwise"), "fp32", convert=converting)
    structure = Structure((1, 8, 10))
    assert ours.file(structure) == ours.file(structure) == converted("depthwise", structure, "fp32")
    told = capsys.readouterr().err
    assert told.count("Structures with 1 of the 6 channels of 'stem' are converted.") == 1


def test_files_that_differ_by_more_than_lengths_are_converted(capsys):
    # As if the converter made another network of the probe.
    probe, structure = draw_probes(Lengths.of(graph_of("plain")))[0], random_structure("plain", 1)

    def convert(graph, asked, scheme):
        name = "concat" if asked == probe else "plain"
        return converted(name, full("concat") if asked == probe else asked, scheme)

    ours = Twins(graph_of("plain"), "fp32", convert=convert)
    assert ours.file(structure) == ours.file(structure) == converted("plain", structure, "fp32")
    told = capsys.readouterr().err
    assert told.count("no twins can be made: The number of operators depends on the structure in a way that is") == 1


@pytest.mark.parametrize("name", ["concat", "maximum"])
def test_what_calibrated_ranges_decide_is_converted_and_it_says_so_once(name, capsys):
    # In `concat` the full network has two QUANTIZEs before the CONCATENATION, and this structure three.
    structure = Structure((2, 2, 3, 8)) if name == "concat" else random_structure(name, 1)
    converting = Converting(name)
    ours = Twins(graph_of(name), "int16x8", convert=converting)
    assert ours.file(structure) == ours.file(structure) == converted(name, structure, "int16x8")
    assert converting.asked == [full(name), structure, structure]  # and no probe
    told = capsys.readouterr().err
    op = "CONCATENATION" if name == "concat" else "MAXIMUM"
    text = f"no twins can be made: Before which inputs of {op} the converter puts a QUANTIZE depends, with activations"
    assert told.count(text) == told.count("Converting takes seconds a structure.") == 1
    with pytest.raises(UserError, match=f"cannot be predicted: Before which inputs of {op} .* Use --latency=measured"):
        _ = ours.work


def test_a_network_that_cannot_be_converted_at_all(capsys):
    def convert(graph, structure, scheme):
        raise ExportError("No kernel takes it.")

    ours = Twins(graph_of("plain"), "fp32", convert=convert)
    structure = random_structure("plain", 1)
    for asked in (ours.reason_against, ours.file, lambda _: ours.work):
        with pytest.raises(ExportError, match=r"^No kernel takes it\.$"):
            asked(structure)
    assert not capsys.readouterr().err


def test_a_number_that_follows_no_group_is_converted(capsys):
    # The file of another structure than the probe: its dimensions are in other proportions.
    wrong = Converting("plain", lambda one: one if one == full("plain") else Structure((3, 4, 2)))
    structure = random_structure("plain", 1)
    Twins(graph_of("plain"), "fp32", convert=wrong).file(structure)
    assert re.search(r"Tensor '.*conv1.*' is 6, 3 in the structures tried, which follows no", capsys.readouterr().err)


@pytest.mark.parametrize("name", (*TINY, *ODD, "mixed"))
def test_probes_tell_all_lengths_apart(name):
    lengths = Lengths.of(graph_of(name))
    probes = draw_probes(lengths)
    assert draw_probes(lengths) == probes
    at = np.stack([lengths.at(one) for one in (lengths.graph.full, *probes)]).astype(float)
    assert len({tuple(row) for row in (at / at[0]).T.tolist()}) == at.shape[1]
    assert (at >= 1).all() and (at <= at[0]).all()


# Templates in files


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "template.npz"
    Template.make(graph_of("plain"), "fp32", Converting("plain")).save(path)
    return path


def test_a_saved_template_is_the_same(saved):
    loaded = Template.load(saved, graph_of("plain"), "fp32")
    structure = random_structure("plain", 1)
    assert loaded.layout.write(loaded.lengths.at(structure)) == twins("plain", "fp32").file(structure)


def test_a_template_of_another_network_or_scheme(saved):
    with pytest.raises(ExportError, match=r"Expected a template of the network with the fingerprint .*of .*Delete it"):
        Template.load(saved, graph_of("concat"), "fp32")
    with pytest.raises(ExportError, match=r"Expected a template of the scheme int8. Received: .*, of fp32. Delete it"):
        Template.load(saved, graph_of("plain"), "int8")


def test_a_template_of_another_version(saved, monkeypatch):
    monkeypatch.setattr("tfmeta.latency.template._FORMAT", 2)
    with pytest.raises(ExportError, match=r"Expected a template of the format 2. Received: .*, of 1. Delete it"):
        Template.load(saved, graph_of("plain"), "fp32")


@pytest.mark.parametrize("damage", ["cut", "flipped", "text", "missing"])
def test_a_damaged_template(saved, damage):
    data = bytearray(saved.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 255
    saved.write_bytes({"cut": data[: len(data) // 2], "text": b"what?"}.get(damage, data))
    if damage == "missing":
        saved.unlink()
    text = "There is no template at" if damage == "missing" else "Received: a damaged file .*Delete it, and it is made"
    with pytest.raises(ExportError, match=text):
        Template.load(saved, graph_of("plain"), "fp32")


def test_a_damaged_template_in_the_folder_is_made_anew(tmp_path, capsys):
    for content in (None, b"what?"):
        for path in tmp_path.iterdir():
            path.write_bytes(content)
        converting = Converting("plain")
        Twins(graph_of("plain"), "fp32", tmp_path, convert=converting).file(random_structure("plain", 1))
        assert len(converting.asked) == 2
    assert capsys.readouterr().err.count("Received: a damaged file") == 1
    (path,) = tmp_path.iterdir()
    Template.load(path, graph_of("plain"), "fp32")
