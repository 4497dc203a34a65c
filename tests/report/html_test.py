"""The HTML report: whole, self-contained, safe, and honest about what is missing."""

from __future__ import annotations

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from tests.report import making
from tfmeta.export import ALL_SCHEMES
from tfmeta.report.data import FileRow, GroupWidth, Latency, MixedRow, OpTime, ReportData, TrialPoint
from tfmeta.report.explorer import embedded, explorer_data
from tfmeta.report.files_chart import looks
from tfmeta.report.html import to_html

VOID = {"meta"}  # the others are closed, or written <line/>
# Ends an element, an attribute, a comment, a string of a program, and what HTML, JSON and URLs treat specially.
EVIL = '</script><script>alert("x")</script><!-- \' \\ \u2028 %s & é 名 {{ 1 }} --></style>'


class _Page(HTMLParser):
    """Collects tags, attributes and texts, and checks that tags are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.within: dict[str, list[str]] = {}
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
        self.within.setdefault(self.open[-1] if self.open else "", []).append(data)


@pytest.fixture
def page(data):
    return _Page(to_html(data))


def test_tags_are_closed_in_order(page):
    assert page.open == []


def test_nothing_is_loaded_from_elsewhere(data):
    html = to_html(data)
    page = _Page(html)
    assert not re.search(r"@import|url\(|\beval\b|new Function|innerHTML|fetch\(|XMLHttpRequest|import\(", html)
    # The only address is the name of SVG, which nothing looks up.
    assert re.findall(r"https?:[^\"' ]*|\"//[^\"]*", html) == ["http://www.w3.org/2000/svg"]
    assert not {"link", "img", "iframe", "object", "image", "use", "form", "base"} & set(page.tags)
    assert not {"src", "srcset", "style"} & {name for name, _ in page.attributes}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    links = [value for name, value in page.attributes if name == "href"]
    assert links == ["export/main/searched-int8.tflite"]


def test_the_page_allows_itself_its_own_program_and_style_only(data):
    html = to_html(data)
    page = _Page(html)
    (policy,) = (value for name, value in page.attributes if name == "content" and "default-src" in value)
    data_block, program = page.within["script"]
    (style,) = page.within["style"]
    for text, part in ((program, "script-src"), (style, "style-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{part} 'sha256-{digest}';" in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy
    assert html.index("Content-Security-Policy") < html.index("<style>") < html.index("<script")
    assert json.loads(data_block) == explorer_data(data)


def test_every_value_of_the_explorer_is_that_of_a_structure(data):
    found = explorer_data(data)
    assert [axis["name"] for axis in found["axes"]] == ["accuracy", "macs", "latency"]
    assert found["groups"] == [["stem", 32], ["block_1", 64]]
    columns = zip(found["searcher"], found["standing"], found["generation"], found["widths"], strict=True)
    for place, (searcher, standing, generation, widths) in enumerate(columns):
        trial = data.trials[place]
        assert found["searchers"][searcher] == trial.searcher
        assert found["standings"][standing] == trial.standing
        assert (generation, tuple(widths)) == (trial.generation, trial.widths)
        assert {name: column[place] for name, column in found["values"].items()} == {
            "accuracy": trial.accuracy,
            "macs": trial.macs,
            "latency": trial.values.get("latency"),
        }
    assert [row["name"] for row in found["rows"]] == ["searched", "random", "uniform", "full"]
    assert found["rows"][3] == {
        "name": "full",
        "widths": [32, 64],
        "values": {"accuracy": None, "macs": 4_000_000, "latency": None},
    }
    assert len(data.trials) == len(found["searcher"])


def test_numbers_are_short_and_those_that_are_none_are_told(data):
    trials = (TrialPoint({"accuracy": 1 / 3, "macs": 1e12, "latency": float("inf")}, "search"),)
    values = explorer_data(dataclasses.replace(data, trials=trials))["values"]
    assert values == {"accuracy": [0.333333], "macs": [1_000_000_000_000], "latency": [None]}


@pytest.mark.parametrize("text", [EVIL, "]]>", "<!--<script>", "&lt;/script&gt;", "\x00\ud800"])
def test_json_in_a_script_element(text):
    written = embedded({text: [text]})
    assert json.loads(written) == {text: [text]}
    assert written.isascii() and not re.search("[<>&]", written)


def test_numbers_and_reasons_are_in_the_tables(data, page):
    for text in ("95.0 %", "980 k", "45.7 kB", "0.412 ms", "0.410 ms (NOISY)", "1.14.0", "12,345", "01234567"):
        assert text in page.texts
    assert {"2.50 + 1.75 ms", "4.2 MiB"} <= set(page.texts)
    # One cell of a file says why, and none is empty.
    assert page.texts.count("not measured: no device") == 3 and page.texts.count("–") == 5
    assert not re.search(r"<td[^>]*></td>", to_html(data))
    assert ("title", "0123456789abcdef" * 4) in page.attributes
    assert "Not drawn: full: accuracy on the search split not measured." in page.texts


def test_no_two_schemes_of_the_front_look_alike(data):
    schemes = sorted(ALL_SCHEMES)
    front = tuple(
        FileRow(f"front{n}", scheme, 1000 + n, 0.5, 1.0, 1.0, Latency(1.0 + n, 2.0)) for n, scheme in enumerate(schemes)
    )
    assert len(set(looks(front).values())) == len(schemes) > 5
    page = to_html(dataclasses.replace(data, front=front, predictions=()))
    drawn = re.findall(r'<path d="([^"]+)" transform="translate\(8 7\)" class="file best (s\d)"/></svg>(\w+)<', page)
    looks_of = {name: (shape, color) for shape, color, name in drawn if name in schemes}
    assert len(set(looks_of.values())) == len(looks_of) == len(schemes)
    for shape, color in looks_of.values():  # the marks of both plots, drawn for two sizes
        assert len(re.findall(f'<path d="{shape}" transform="[^"]+" class="file(?: best)? {color}">', page)) == 4


def test_the_front_says_where_it_was_timed(data):
    front = (FileRow("front00", "int8", 1000, 0.5, 1.0, 1.0, Latency(1.0, 2.0)),)
    told = dataclasses.replace(data, front=front, latency_label="not measured", front_latency_label="Pixel 8")
    page = to_html(told)
    assert "latency p50, ms (Pixel 8)" in page and "latency p50, ms (not measured)" not in page


def test_a_file_whose_name_is_odd_can_be_fetched(data):
    (file, _) = data.files
    odd = dataclasses.replace(file, path="../a b/100%&é.tflite")
    page = _Page(to_html(dataclasses.replace(data, files=(odd,))))
    assert ("href", "../a%20b/100%25%26%C3%A9.tflite") in page.attributes
    assert "100%&é.tflite" in page.texts


def test_channels_and_values_of_the_searched_network(data, page):
    html = to_html(data)
    assert '<rect class="track" width="64" height="10"/><rect class="kept" width="16"' in html
    texts = [text for text in page.texts if text]
    start = texts.index("accuracy, search split")
    assert texts[start : start + 6] == ["accuracy, search split", "80.0 %", "MACs", "980 k", "latency", "not measured"]


def test_sections_are_there_when_there_is_something_in_them(data, page):
    headings = [
        "Where the time goes, by operator",
        "Mixed precision",
        "How the search went on",
        "Options of every stage",
        "Where latency steps with the channels",
    ]
    assert set(headings) <= set(page.texts)
    assert "Files of the front by what they cost" not in page.texts
    assert "4 × CONV_2D 1x1" in page.texts and "55.0 %" in page.texts
    assert "search: predicted 0.500 ms ± 0.020 ms, measured 0.450 ms" in page.texts
    assert {"conv float32: step 8", "dense int8: every channel counts"} <= set(page.texts)
    assert "33 channels: 0.900 ms, 50 runs" in page.texts
    assert "4 × CONV_2D" in page.texts and "0.750 ms" in page.texts and "60.0 %" in page.texts
    (file, _) = data.files
    none = dict.fromkeys(("mixed", "trials", "options", "predictions", "operators"), ())
    bare = dataclasses.replace(data, files=(file,), staircase=None, **none)
    assert not set(headings) & set(_Page(to_html(bare)).texts)


def test_names_are_escaped(data):
    hostile = ReportData(
        network=EVIL,
        data_set=EVIL,
        budget=EVIL,
        rows=(making.row(EVIL, 10, 10, 0.5, 0.5, widths=(8,)),),
        files=(FileRow(EVIL, EVIL, 1, path=f"export/{EVIL}", sha256=EVIL, operators=(OpTime(EVIL, 1, 1.0, 1.0),)),),
        mixed=(MixedRow(EVIL, EVIL, 1, 1, 0.5, 0.5, 1.0, 1.0, EVIL, True),),
        trials=(making.trial(10, 0.5, EVIL, widths=(8,)), making.trial(20, 0.6, EVIL, widths=(4,))),
        axes=tuple(dataclasses.replace(axis, label=EVIL) for axis in making.AXES),
        groups=(GroupWidth(EVIL, 8, 4),),
        staircase=making.staircase((EVIL, 8), where=EVIL),
        how=((EVIL, EVIL),),
        options=((EVIL, EVIL),),
        versions={EVIL: EVIL},
        command=EVIL,
        created=EVIL,
        metric=EVIL,
        winner=EVIL,
        file_label=EVIL,
        latency_label=EVIL,
        front_latency_label=EVIL,
    )
    html = to_html(hostile)
    page = _Page(html)
    assert page.open == []
    assert page.tags.count("script") == html.count("<script") == html.count("</script") == 2
    assert page.tags.count("style") == html.count("</style") == 1
    assert json.loads(page.within["script"][0])["groups"] == [[EVIL, 8]]
    assert EVIL in page.texts


@pytest.mark.parametrize(
    "part", ["rows", "files", "trials", "groups", "how", "axes", "mixed", "options", "predictions", "operators"]
)
def test_every_part_may_be_empty(part, data):
    assert _Page(to_html(dataclasses.replace(data, **{part: ()}))).open == []


def test_report_of_nothing_says_so():
    texts = _Page(to_html(ReportData("net", "digits", "none", rows=()))).texts
    assert "No network was found by the search yet, so nothing is compared." in texts
    assert "No structure was evaluated, so there is nothing to draw." in texts
    assert "Not recorded." in texts


def test_a_page_of_many_structures_stays_small(data):
    widths = tuple(range(8, 8 * 31, 8))
    trials = tuple(
        TrialPoint(
            {"accuracy": n / 7919, "macs": 1e8 + 7e3 * n, "latency": 9 + n / 3e4}, "search", True, n // 50, widths
        )
        for n in range(2000)
    )
    groups = tuple(GroupWidth(f"block_{n}", 8 * (n + 1), 8) for n in range(30))
    one = len(to_html(dataclasses.replace(data, trials=trials[:1], groups=groups)))
    all_of_them = len(to_html(dataclasses.replace(data, trials=trials, groups=groups)))
    assert (all_of_them - one) / len(trials) < 300  # bytes a structure: ten thousand take 3 MB
