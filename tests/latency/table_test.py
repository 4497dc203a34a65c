"""Latency tables: what is in the file, what is refused, and what is drawn to be measured."""

import copy
import dataclasses
import itertools
import json
import math

import numpy as np
import pytest

from tests.latency import tables
from tests.latency.couplings import graph_of
from tests.latency.devices import Scripted
from tests.latency.tables import OPTIONS
from tfmeta.errors import UserError
from tfmeta.graph.space import SearchSpace
from tfmeta.latency import Latency, LatencyOptions
from tfmeta.latency.building import BuildOptions, build, drawn
from tfmeta.latency.table import _PLAIN, FIXED, LatencyTable
from tfmeta.latency.table_error import Error, kendall_tau
from tfmeta.latency.table_text import lines
from tfmeta.store import Store


@pytest.fixture
def wide():
    return tables.wide()


@pytest.fixture
def table():
    return tables.table()


@pytest.fixture
def path(table, tmp_path):
    table.save(tmp_path / "table.json")
    return tmp_path / "table.json"


def test_the_error_is_that_of_the_structures_it_never_saw(table):
    # Noise of exactly 3 % to either side; the predictor is fitted to points without any.
    assert table.error.structures == 20
    assert table.error.mape == pytest.approx(0.03, abs=0.005)
    assert table.error.worst < 0.04
    assert table.verdicts == {"NOISY": 6, "OK": 54}


def test_what_a_measurement_scatters_by_is_no_error_of_the_prediction(table):
    # 3 % off; the intervals of the measurements reach 1 % to either side, and then 6 %.
    assert table.error.within < 0.2
    wider = [dataclasses.replace(one, low=0.94 * one.ratio, high=1.06 * one.ratio) for one in table.points]
    assert wider[0].scatter == pytest.approx(0.12 / 3.92)
    assert dataclasses.replace(table, points=tuple(wider)).error.within == 1.0


def test_the_numbers_of_an_error():
    measured, predicted = np.array([1.0, 2.0, 4.0]), np.array([1.1, 4.0, 3.0])
    error = Error.between(measured, predicted, np.array([0.06, 0.1, 0.6]))
    assert error.mape == pytest.approx((0.1 + 1.0 + 0.25) / 3)
    assert error.worst == pytest.approx(1.0)
    assert error.tau == pytest.approx((1 + 1 - 1) / 3)  # only the last two are the other way round
    assert error.within == pytest.approx(2 / 3)
    assert kendall_tau(measured, -measured) == -1.0


def test_a_table_is_the_same_when_it_was_written_and_read(table, path, wide):
    again = LatencyTable.load(path)
    for name in ("network", "fingerprint", "groups", "device", "options", "points", "created", "error", "seed"):
        assert getattr(again, name) == getattr(table, name), name
    widths = np.array([one.widths for one in drawn(wide, 9, seed=7)])
    for found, expected in zip(again.predictor.predict(widths), table.predictor.predict(widths), strict=True):
        np.testing.assert_array_equal(found, expected)
    told = json.loads(path.read_text())
    assert told["held_out_error"] == dataclasses.asdict(table.error)
    assert told["device"]["fingerprint"] == table.device.fingerprint


def test_shares_of_operators_add_up_and_do_not_claim_what_cannot_be_known(table):
    shares = table.shares()
    assert sum(share for _, share in shares.values()) == pytest.approx(1.0)
    # By construction 1 of 1.1 ms goes with the multiply-adds, most of which are in plain 1x1 and 3x3 kernels.
    assert shares[FIXED][1] == pytest.approx(0.1 / 1.1, abs=0.03)
    assert list(shares.values()) == sorted(shares.values(), key=lambda one: -one[1])
    assert sum(count for count, _ in shares.values()) == len(table.work.kinds)


def test_the_text_tells_what_a_user_asks_for(table):
    text = "\n".join(lines(table))
    for part in (
        table.device.name,
        "2 thread(s)",
        "xnnpack",
        "fp32",
        "40 structures to fit and 20 held out",
        "6 NOISY",
    ):
        assert part in text
    assert f"mean {100 * table.error.mape:.2f} %" in text and FIXED in text


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (lambda data: data[: len(data) // 2], "Received: a damaged file (JSONDecodeError"),
        (lambda data: b"\x93NUMPY\xff", "Received: a damaged file (UnicodeDecodeError"),
        (lambda data: b"[1, 2]", "Received: another file. Move it away, or give another --output,"),
        (lambda data: data.replace(b'"format": 2', b'"format": 3'), "a latency table of format 3, this tfmeta reads"),
        (lambda data: data.replace(b'"points": ', b'"pointers": '), "Received: a damaged file (KeyError: 'points')"),
        (lambda data: data.replace(b'"rates": [', b'"rates": [1.0, '), "its rates do not fit its operators"),
        (lambda data: b"[" * 100_000, "Received: a damaged file (RecursionError"),
        (lambda data: data.replace(b'"held_out": true', b'"held_out": false'), "fewer than 10 points to fit and 2"),
        (lambda data: data.replace(b'"held_out": true', b'"held_out": null'), "held_out of a point is neither"),
        (lambda data: data.replace(b'"spread": ', b'"spread": NaN, "was": '), "spread is not above 0"),
        (lambda data: data.replace(b'"groups": [[', b'"groups": [], "were": [['), "groups is no list of any"),
        (lambda data: data.replace(b'"rates": [', b'"rates": [-1.0, '), "a rate is no number of 0 or more"),
        (lambda data: data.replace(b'"constants": [', b'"constants": [1, '), "its lengths do not fit its operators"),
    ],
)
def test_a_file_that_is_no_table(path, change, text):
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(UserError) as raised:
        LatencyTable.load(path)
    assert text in str(raised.value) and str(path) in str(raised.value)
    assert " away" in str(raised.value)  # the command that makes one does not replace it


@pytest.mark.parametrize("key", sorted({"device", "options", "points", "work", "predictor", *_PLAIN}))
def test_a_file_of_which_a_part_is_missing_or_something_else(path, key):
    whole = json.loads(path.read_text())
    for bad in (None, 3, "text", [[]]):
        values = {**whole, key: bad}
        if bad is None:
            del values[key]
        elif type(bad) is type(whole[key]) or (bad == 3 and isinstance(whole[key], float)):
            continue
        path.write_text(json.dumps(values))
        with pytest.raises(UserError) as raised:
            LatencyTable.load(path)
        assert "Received: a damaged file" in str(raised.value)


def places(value, path=()):
    """The way to every part of a table, as keys; of a list the first, second and last entry stand for all."""
    keys = []
    if isinstance(value, dict):
        keys = sorted(value)
    elif isinstance(value, list):
        keys = sorted({0, 1, len(value) - 1} & set(range(len(value))))
    for key in keys:
        yield (*path, key)
        yield from places(value[key], (*path, key))


def changed(value, path, bad):
    """The table with something else in one place, which is left out where that is Ellipsis."""
    copied = copy.copy(value)
    if len(path) > 1:
        copied[path[0]] = changed(value[path[0]], path[1:], bad)
    elif bad is ...:
        del copied[path[0]]
    else:
        copied[path[0]] = bad
    return copied


@pytest.mark.parametrize("bad", [..., None, -1, 0.5, math.inf, math.nan, "x", [], {}, 10**30, 10**400, True])
def test_a_damaged_part_is_told_or_does_not_matter(path, wide, bad):
    whole = json.loads(path.read_text())
    told = 0
    for place in places(whole):
        path.write_text(json.dumps(changed(whole, place, bad)))
        try:
            table = LatencyTable.load(path)
        except UserError as error:
            told += 1
            assert str(path) in str(error)
            continue
        lines(table)
        told_ms = np.hstack([*table.judged, *table.predictor.predict(np.array([wide.full().widths]))])
        assert (np.isfinite(told_ms) & (told_ms > 0)).all(), place
    assert told > 50


def test_there_is_no_file(tmp_path):
    with pytest.raises(UserError, match=r"There is no latency table at .*none\. Make one: tfmeta latency --build"):
        LatencyTable.load(tmp_path / "none")


def test_a_table_of_another_network(table, graph):
    table.check_network(graph_of("mixed"), "t.json")
    with pytest.raises(UserError, match=r"Expected a latency table of 'two_convolutions' .*, of 'mixed' .* away"):
        table.check_network(graph, "t.json")


@pytest.mark.parametrize(
    "change",
    [{"scheme": "int8"}, {"threads": 4}, {"delegate": "gpu"}, {"pin": "big"}],
)
def test_a_table_of_other_options_or_another_device(table, change):
    info = table.device
    assert table.different(info, OPTIONS) == ""
    assert table.different(dataclasses.replace(info, serial="S2"), OPTIONS) == ""  # another of the same model
    assert table.different(info, dataclasses.replace(OPTIONS, num_runs=99)) == ""  # comparable all the same
    (name,) = change
    assert table.different(info, dataclasses.replace(OPTIONS, **change)).startswith(f"{name} was ")
    other = dataclasses.replace(info, name="Pixel 8", runtime_version="0.0")
    assert table.different(other, OPTIONS) == (
        f'name was "{info.name}", is "Pixel 8"; runtime_version was "{info.runtime_version}", is "0.0"'
    )


def test_structures_are_drawn_alike_and_a_shorter_list_begins_a_longer_one(wide):
    long = drawn(wide, 40, seed=3)
    assert len(set(long)) == 40 and all(wide.contains(one) for one in long)
    assert drawn(wide, 15, seed=3) == long[:15]
    assert drawn(wide, 15, seed=4) != long[:15]
    sizes = [sum(one.widths) / sum(wide.sizes) for one in long]
    assert min(sizes) < 0.4 and max(sizes) > 0.8, "small and large ones are among them"


def test_building_measures_once_and_goes_on_where_it_stopped(graph, space, converted):
    fine = SearchSpace.from_graph(graph, multiple_of=1)
    options = BuildOptions(measurements=10, held_out=3, seed=0)
    latency_options = LatencyOptions(rounds=2, num_runs=10, min_secs=0.0, retries=0)

    class Stopping(Scripted):
        def load(self, model, options):
            if self.loads >= 16:  # of the baseline 6; then 5 structures beside the reference
                raise KeyboardInterrupt
            return super().load(model, options)

    def steady():
        return itertools.repeat([1.0, 1.01])

    with Store() as store:
        with pytest.raises(KeyboardInterrupt):
            build(Latency(graph, Stopping(steady()), latency_options, converted, store), fine, options)
        device = Scripted(steady())
        table = build(Latency(graph, device, latency_options, converted, store), fine, options)
        assert device.loads == 2 * (13 - 5)
        again = Scripted(steady())
        assert build(Latency(graph, again, latency_options, converted, store), fine, options).points == table.points
        assert again.loads == 0
    assert [one.widths for one in table.points] == [one.widths for one in drawn(fine, 13, seed=0)]
    assert [one.held_out for one in table.points] == [False] * 10 + [True] * 3
    with pytest.raises(UserError, match=r"Expected 80 different structures to measure\. Received: a space in which"):
        build(Latency(graph, Scripted(steady()), latency_options, converted), space, BuildOptions())


def test_measurements_from_which_nothing_can_be_predicted_make_no_table(table, tmp_path):
    refused = 0
    for seed in range(5):
        noise = np.exp(np.random.default_rng(seed).standard_normal(30))  # as good as any latency for any structure
        points = [
            dataclasses.replace(one, ratio=one.ratio * by, low=0.9 * one.ratio * by, high=1.1 * one.ratio * by)
            for one, by in zip([*table.points[:10], *table.points[40:]], noise.tolist(), strict=True)
        ]
        try:
            fitted = LatencyTable.fit(graph_of("mixed"), table.device, OPTIONS, 1.1, points, table.work, seed=1)
        except UserError as error:
            refused += 1
            assert "Received: 30 that scatter too much: what it predicts is no latency. Measure longer" in str(error)
        else:  # and what was made can be read again
            fitted.save(tmp_path / "t.json")
            LatencyTable.load(tmp_path / "t.json")
    assert 0 < refused < 5


@pytest.mark.parametrize("options", [{"measurements": 9}, {"held_out": 1}])
def test_too_few_structures(options):
    with pytest.raises(UserError, match=r"Expected (measurements|held_out) of \d+ or more\. Received: \d"):
        BuildOptions(**options)
