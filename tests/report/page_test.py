"""The page in a browser: what a person sees who points, taps, presses keys, or opens a link to a structure."""

from __future__ import annotations

import dataclasses
import struct

import pytest

from tests.report import making
from tests.report.browser import PROGRAM, Browser
from tfmeta.report import wording
from tfmeta.report.data import Axis, GroupWidth, TrialPoint
from tfmeta.report.html import to_html

pytestmark = pytest.mark.skipif(
    PROGRAM is None,
    reason="there is no Chromium here (Debian's package is 'chromium'); html_test.py covers what the page holds",
)

WIDE, PHONE = (1280, 900), (390, 844)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture
def show(browser, data, tmp_path):
    """Opens the page of a report, at a fragment."""

    def opened(fragment="", report=data, size=WIDE, **options):
        path = tmp_path / "report.html"
        path.write_text(to_html(report), encoding="utf-8")
        browser.requests.clear()
        browser.complaints.clear()
        browser.open(path.as_uri() + fragment, *size, **options)
        browser.run("document.querySelector('#stage').scrollIntoView({block: 'center'})")
        return browser

    return opened


def place(browser, kind):
    """The middle of a mark on the screen."""
    return browser.run(
        f"(box => [box.x + box.width / 2, box.y + box.height / 2])"
        f"(document.querySelector('#stage {kind}').getBoundingClientRect())"
    )


def bars(browser):
    """Channels of each group, before and after, as the bars show them."""
    return browser.run(
        "[...document.querySelectorAll('.detail .bar')].map(bar => "
        "[...bar.querySelectorAll('rect')].map(rect => Number(rect.getAttribute('width'))))"
    )


def test_the_page_begins_with_the_searched_network(show):
    page = show()
    assert page.text("#detail h3") == "searched"
    assert bars(page) == [[32, 24], [64, 16]]
    assert page.run("document.querySelector('#still').hidden") and not page.run(
        "document.querySelector('#stage').hidden"
    )
    assert page.text("#absent") == "Not drawn: full (4.00 M; not measured)."


def test_a_link_leads_to_a_structure_on_chosen_axes(show):
    page = show("#structure=3&x=latency&y=accuracy")
    assert page.text("#detail h3") == "Structure 3"
    assert page.text("#detail .about") == "genetic, generation 2; one of the best at its cost"
    assert page.text("#detail .values").split("\n") == [
        "accuracy, search split",
        "80.0 %",
        "MACs",
        "980 k",
        "latency",
        "0.400 ms",
    ]
    assert bars(page) == [[32, 24], [64, 16]]
    assert page.run("document.querySelector('#x-axis').value") == "latency"
    assert "2 structures without a value on these axes" in page.text("#absent")
    page.run("location.hash = '#structure=uniform&x=macs'")
    page.frame()
    assert page.text("#detail h3") == "uniform" and bars(page) == [[32, 16], [64, 32]]


def test_a_link_that_leads_nowhere_changes_nothing(show):
    page = show()
    for fragment in ("#structure=99&x=price", "#files", "#=&%", "#x=macs&y=macs"):
        page.run(f"location.hash = '{fragment}'")
        page.frame()
        assert page.text("#detail h3") == "searched"
        assert page.run("[document.querySelector('#x-axis').value, document.querySelector('#y-axis').value]") == [
            "macs",
            "accuracy",
        ]
    assert page.complaints == []


def test_the_mouse_shows_a_structure_and_a_click_keeps_it(show):
    page = show("#structure=2")
    x, y = place(page, ".ring.kept")
    page.mouse("mouseMoved", x, y)
    assert page.text(".tip").replace("\xa0", " ").split("\n") == [
        "Structure 2",
        "random, generation 1",
        "accuracy, search split: 50.0 %",
        "MACs: 600 k",
        "latency: not measured",
    ]
    page.mouse("mouseMoved", *place(page, ".row.winner"))
    assert page.text(".tip b") == "searched" and page.text("#detail h3") == "Structure 2"
    for kind in ("mousePressed", "mouseReleased"):
        page.mouse(kind, *place(page, ".row.winner"))
    assert page.text("#detail h3") == "searched"
    assert page.run("location.hash") == "#structure=searched&x=macs&y=accuracy"


def test_the_keys_walk_through_the_structures(show):
    page = show("#structure=1")
    page.run("document.querySelector('#stage').focus()")
    page.frame()
    assert page.text(".tip b") == "Structure 1" and not page.run("document.querySelector('.tip').hidden")
    walked = []
    # Structure 4 is the dearest; of those within the budget only 1 and 3 are best at their cost.
    for key in ("ArrowRight", "ArrowUp", "ArrowDown", "ArrowRight", "Enter"):
        page.press(key)
        walked.append(page.text("#told").split(",")[0])
    assert walked == ["Structure 2", "Structure 3", "Structure 1", "Structure 2", "Structure 2"]
    assert page.text("#detail h3") == "Structure 2" and bars(page) == [[32, 16], [64, 8]]
    page.press("Escape")
    assert page.run("document.querySelector('.tip').hidden")


def test_a_finger_on_a_phone(show):
    page = show("#structure=1&x=latency", size=PHONE, dark=True)
    first = place(page, ".ring.kept")
    page.run("location.hash = '#structure=3&x=latency'")
    page.frame()
    assert page.text("#detail h3") == "Structure 3"
    page.tap(first[0] + 20, first[1] - 20)  # a finger is not that exact
    assert page.text("#detail h3") == "Structure 1"
    assert page.run("document.documentElement.scrollWidth") == PHONE[0]
    assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(16, 19, 22)"


def test_axes_are_exchanged_rather_than_equal(show):
    page = show()
    page.run(
        "(select => { select.value = 'accuracy'; select.dispatchEvent(new Event('change')); })"
        "(document.querySelector('#x-axis'))"
    )
    assert page.run("location.hash") == "#structure=searched&x=accuracy&y=macs"
    assert page.run("document.querySelector('#y-axis').value") == "macs"


def test_the_program_writes_numbers_as_python_does(show, data):
    axes = (*making.AXES, Axis("size", "bytes of weights", "bytes", True))
    numbers = [0.25, 1.0, 9.99, 999.0, 1234.0, 99_960.0, 123_456.0, 9_994_999.0, 9_995_001.0, 2.5e9]
    trials = tuple(
        TrialPoint({"accuracy": n / 1e10, "macs": n, "latency": n / 1e3, "size": n}, "search", widths=(8, 8))
        for n in numbers
    )
    page = show(report=dataclasses.replace(data, axes=axes, trials=trials))
    for place, trial in enumerate(trials, 1):
        page.run(f"location.hash = '#structure={place}'")
        page.frame()
        shown = page.run("[...document.querySelectorAll('#detail [data-axis]')].map(cell => cell.textContent)")
        assert shown == [wording.objective(axis, trial.values[axis.name]) for axis in axes]


@pytest.mark.parametrize("size", [WIDE, PHONE])
def test_nothing_is_asked_for_and_nothing_overflows(show, data, size):
    groups = tuple(GroupWidth(f"a_long_name_of_a_layer_that_does_not_end_{n}", 64, 8) for n in range(40))
    many = tuple(
        making.trial(1e6 + 1e3 * n, n % 97 / 97, "genetic", n % 3 > 0, n // 50, (8,) * 40) for n in range(3000)
    )
    rows = (making.row("searched", 2e6, 1000, 0.9, widths=(8,) * 40),)
    front = tuple(dataclasses.replace(data.files[1], model=f"front{n}", test_accuracy=n / 9) for n in range(3))
    names = (*(f"{kind} {dtype}" for dtype in ("float32", "int8") for kind in ("conv", "depthwise", "dense")),)
    stairs = making.staircase(*((name, 8) for name in names))
    changes = {"groups": groups, "trials": many, "rows": rows, "front": front, "staircase": stairs}
    page = show(report=dataclasses.replace(data, **changes), size=size)
    assert [address.rpartition("/")[2] for address in page.requests] == ["report.html"]
    assert page.complaints == []
    assert page.run("document.documentElement.scrollWidth") == size[0]
    texts = "[...document.querySelectorAll('main *')].filter(e => e.innerText)"
    assert page.run(f"Math.min(...{texts}.map(e => parseFloat(getComputedStyle(e).fontSize)))") >= 12
    plots = "[...document.querySelectorAll('svg.plot')].filter(svg => svg.clientWidth)"
    tables = "[...document.querySelectorAll('.scroll')]"
    assert page.run(f"{tables}.every(table => table.scrollWidth === table.clientWidth)"), "a table scrolls"
    shrunk = page.run(f"{plots}.map(svg => svg.clientWidth / svg.viewBox.baseVal.width)")
    assert len(shrunk) >= 11 and min(shrunk) > 0.95, "letters of a plot that is shrunk are too small"
    assert struct.unpack(">II", page.picture()[16:24]) == size


def test_the_policy_stops_what_is_not_the_page_s_own(show):
    page = show()
    picture = '<img src="http://127.0.0.1:9/x.png" onerror="window.ran = 1">'
    page.run(f"document.body.insertAdjacentHTML('beforeend', '{picture}')")
    page.frame()
    assert page.run("window.ran") is None
    assert any("Content Security Policy" in told for told in page.complaints)
