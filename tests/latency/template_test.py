"""Damaged template files: whichever byte it is, they are refused by the error that lets them be made anew."""

import zipfile

from tests.latency.couplings import graph_of
from tfmeta.errors import ExportError
from tfmeta.latency.template import Template


def test_a_changed_byte_is_told_or_changes_nothing(tmp_path):
    graph = graph_of("plain")
    template = Template(graph, "fp32", (graph.full,), (b"of the full network",))
    path = tmp_path / "template.npz"
    template.save(path)
    whole = path.read_bytes()
    told = set()
    # The header of the first member and the directory at the end; what is in between has a checksum.
    for place in (*range(40), *range(40, len(whole) - 150, 40), *range(len(whole) - 150, len(whole))):
        for mask in (0x01, 0x08, 0xFF):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ mask]) + whole[place + 1 :])
            try:
                loaded = Template.load(path, graph, "fp32")
            except ExportError as error:
                assert str(path) in str(error) and "Delete it, and it is made anew." in str(error)
                told.add(type(error.__cause__))
            else:
                assert (loaded.structures, loaded.contents) == (template.structures, template.contents)
    assert {zipfile.BadZipFile, NotImplementedError, RuntimeError} <= told
