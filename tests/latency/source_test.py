"""What a search is told of the table that its latencies come from: where it is, and what it is not of."""

import dataclasses
import os

import pytest

from tests.latency.couplings import graph_of
from tests.latency.tables import OPTIONS, table, wide
from tflite_bench import DeviceError, OptionsError
from tfmeta.errors import UserError
from tfmeta.latency.options import LatencySource, Place
from tfmeta.latency.source import Asked, open_source, read_table
from tfmeta.store import Store

PREDICTED = LatencySource("predicted")
ALLOWED = LatencySource("predicted", allow_other_device=True)


@pytest.fixture
def about(tmp_path):
    """Returns a function: what is told of a table that is opened for some device and options."""

    def opened(source, device="host", options=OPTIONS, made=None):
        own = tmp_path / "work" / "latency_table.json"
        own.parent.mkdir(exist_ok=True)
        (table() if made is None else made).save(own)
        with Store() as store:
            asked = Asked(graph_of("mixed"), wide(), Place(device), options, tmp_path, store, own, seed=0)
            with open_source(source, asked) as opened:
                return opened.about

    return opened


def test_that_any_table_may_be_used_does_not_make_it_another_one(about):
    told = about(PREDICTED)
    assert told == about(ALLOWED)
    assert set(told) == {"source", "table"}


def test_what_differs_is_told_where_it_is_allowed(about):
    phone = dataclasses.replace(table(), device=dataclasses.replace(table().device, name="Pixel 8"))
    told = about(ALLOWED, options=dataclasses.replace(OPTIONS, threads=4), made=phone)["other_device"]
    assert told.startswith('name was "Pixel 8", is ') and told.endswith("; threads was 2, is 4")
    with pytest.raises(UserError, match=r'or with other options: name was "Pixel 8".* --allow_other_device_table'):
        about(PREDICTED, made=phone)


def test_options_are_compared_also_where_the_device_is_away(about, monkeypatch):
    def away(*_):
        raise DeviceError("It is not attached.")

    monkeypatch.setattr("tflite_bench.open_device", away)
    int8 = dataclasses.replace(OPTIONS, scheme="int8")
    assert about(ALLOWED, "adb")["not_compared"] == "'adb' cannot be reached: It is not attached."
    assert "other_device" not in about(ALLOWED, "adb")
    assert about(ALLOWED, "adb", int8)["other_device"] == 'scheme was "fp32", is "int8"'
    with pytest.raises(UserError, match='scheme was "fp32", is "int8"'):
        about(PREDICTED, "adb", int8)
    with pytest.raises(DeviceError, match="not attached"):
        about(PREDICTED, "adb")


def test_a_mistyped_device_is_no_device_that_is_away(about):
    with pytest.raises(OptionsError, match="Received: 'hots'"):
        about(ALLOWED, "hots")


def test_the_file_is_told_from_the_work_directory_or_in_full(about, tmp_path, monkeypatch):
    assert about(PREDICTED)["table"]["file"] == "latency_table.json"
    table().save(tmp_path / "other.json")
    monkeypatch.chdir(tmp_path)
    for typed in ("other.json", f"{tmp_path}/other.json", f"work{os.sep}..{os.sep}other.json"):
        found = about(LatencySource("predicted", table=typed))["table"]["file"]
        assert found == str(tmp_path / "other.json")


def test_a_table_is_only_read_where_one_is_used(tmp_path):
    none = tmp_path / "none.json"
    for source in (LatencySource(), LatencySource("hybrid")):
        assert read_table(source, graph_of("mixed"), OPTIONS, none) is None
    for source in (PREDICTED, LatencySource("hybrid", table=str(none))):
        with pytest.raises(UserError, match=r"There is no latency table at .*none\.json"):
            read_table(source, graph_of("mixed"), OPTIONS, none)
