"""The table on the terminal."""

from pathlib import Path

from tfmeta.report.text import to_text


def test_the_whole_text(data):
    text = to_text(data, [Path("runs/x/report.html"), Path("runs/x/report.md")])
    head, networks, shipped, found, paths = text.split("\n\n")
    assert head == "mobilenet on digits. Budget: at most 1 M MACs"
    assert [line.split()[0] for line in networks.splitlines()] == ["Network", "searched", "random", "uniform", "full"]
    assert shipped.splitlines()[0].startswith("File")
    assert found.splitlines()[0].startswith("- Searched (95.0 %) beats random (94.0 %)")
    assert paths == "Report: runs/x/report.html, runs/x/report.md"


def test_columns_are_aligned(data):
    networks = to_text(data, []).split("\n\n")[1].splitlines()
    place = networks[0].index("MACs") + len("MACs")
    assert [line[:place].split("  ")[-1].strip() for line in networks] == ["MACs", "980 k", "990 k", "1.00 M", "4.00 M"]


def test_without_files_there_is_one_table(data):
    import dataclasses

    text = to_text(dataclasses.replace(data, files=()), [])
    assert len(text.split("\n\n")) == 4
    assert "File" not in text.splitlines()[2].split()
