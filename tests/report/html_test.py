"""The HTML report: whole, self-contained, safe, and honest about what is missing."""

from __future__ import annotations

import dataclasses
import re
from html.parser import HTMLParser

import pytest

from tfmeta.report.data import GroupWidth, ReportData, Row, TrialPoint
from tfmeta.report.html import to_html

VOID = {"meta"}  # the others are closed, or written <line/>


class _Page(HTMLParser):
    """Collects tags, attributes and texts, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data.strip())


def test_tags_are_closed_in_order(data):
    assert _Page(to_html(data)).open == []


def test_nothing_is_loaded_from_elsewhere(data):
    html = to_html(data)
    page = _Page(html)
    assert not re.search(r"https?:|//[a-z]|@import|url\(", html)
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(page.tags)
    assert not {"src", "href", "srcset"} & {name for name, _ in page.attributes}


def test_numbers_and_reasons_are_in_the_tables(data):
    texts = _Page(to_html(data)).texts
    for text in ("95.0 %", "980 k", "45.7 kB", "0.412 ms", "0.410 ms (NOISY)", "1.14.0"):
        assert text in texts
    # One cell says why, and none is empty.
    assert texts.count("not measured: no device") == 5
    assert not re.search(r"<td[^>]*></td>", to_html(data))


def test_every_trial_and_row_is_drawn_with_its_numbers(data):
    # The plot is drawn twice, for wide and narrow pages; the full network has no such accuracy.
    texts = _Page(to_html(data)).texts
    assert texts.count("genetic: 500 k MACs, 60.0 %") == 2
    assert texts.count("random: 1.20 M MACs, 90.0 %, outside the budget") == 2
    assert texts.count("searched: 980 k MACs, 80.0 %") == 2
    assert "Not drawn: full: accuracy on the search split not measured." in texts


def test_channels_before_and_after(data):
    html = to_html(data)
    assert '<rect class="track" width="64" height="10"/><rect class="kept" width="16"' in html
    assert "block_1: 16 of 64 channels" in html


def test_names_are_escaped(data):
    evil = '<script>alert("x")</script>'
    hostile = ReportData(
        network=evil,
        data_set=evil,
        budget=evil,
        rows=(Row(evil, 10, 10, 0.5, 0.5),),
        trials=(TrialPoint(10, 0.5, evil), TrialPoint(20, 0.6, evil)),
        groups=(GroupWidth(evil, 8, 4),),
        how=((evil, evil),),
        versions={evil: evil},
        command=evil,
        created=evil,
        winner=evil,
        file_label=evil,
        latency_label=evil,
    )
    html = to_html(hostile)
    assert "<script" not in html
    assert _Page(html).open == []


@pytest.mark.parametrize("part", ["rows", "files", "trials", "groups", "how"])
def test_every_part_may_be_empty(part, data):
    assert _Page(to_html(dataclasses.replace(data, **{part: ()}))).open == []


def test_report_of_nothing_says_so():
    texts = _Page(to_html(ReportData("net", "digits", "none", rows=()))).texts
    assert "No network was found by the search yet, so nothing is compared." in texts
    assert "No structure was evaluated, so there is nothing to draw." in texts
    assert "Not recorded." in texts
