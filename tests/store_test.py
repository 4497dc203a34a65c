"""The store: what goes in comes out, whatever happens to the process, the disk and the file."""

import json
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tfmeta.errors import StoreError
from tfmeta.graph.structure import Structure
from tfmeta.store import SCHEMA_VERSION, Store
from tfmeta.trial import Trial

ROOT = Path(__file__).parents[1]
TRIAL = Trial(
    Structure((8, 16)),
    generation=2,
    position=3,
    values={"accuracy": 0.1 + 0.2, "macs": 12345678901.0},
    fitness=0.1 + 0.2,
    violation=1 / 3,
    note="accuracy – skipped",
)


def filled(path, trials=3):
    with Store(path) as store:
        store.claim({"graph": "abc", "space": {"sizes": [8, 16]}})
        store.begin_run("genetic", {"seed": 0}, {"pool": []})
        for position in range(trials):
            store.add_trial("genetic", Trial(Structure((8, 16)), 0, position, {"macs": 1.0}, 1.0))
    return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "project" / "store.sqlite"


# What goes in comes out


@pytest.mark.parametrize(
    "trial",
    [TRIAL, Trial(Structure((1,)), 0, 0, {}, failed=True, note="accuracy is not a finite number")],
)
def test_trials_come_back_exactly(path, trial):
    with Store(path) as store:
        store.begin_run("genetic", {}, {})
        store.add_trial("genetic", trial)
    with Store(path) as store:
        assert store.trials("genetic") == [trial]
        assert store.trials("random") == []


def test_trials_come_back_in_the_order_of_evaluation():
    places = [(1, 0), (0, 1), (-1, 0), (0, 0)]
    with Store() as store:
        store.begin_run("genetic", {}, {})
        for generation, position in places:
            store.add_trial("genetic", Trial(Structure((8,)), generation, position, {}))
        found = [(t.generation, t.position) for t in store.trials("genetic")]
    assert found == sorted(places)


def test_states_configurations_and_measurements_come_back(path):
    state = {"rng": {"state": 2**127 + 1}, "pool": [[1, 2], []]}
    filled(path)
    with Store(path) as store:
        assert store.state("genetic") == (0, {"pool": []})
        store.finish_generation("genetic", 1, state)
        store.add_measurement("model", "device", "options", {"median_ms": 1.0})
        store.add_measurement("model", "device", "options", {"median_ms": 2.5})
    with Store(path, must_exist=True) as store:
        assert store.state("genetic") == (1, state)
        assert store.runs == ("genetic",)
        assert store.run_configuration("genetic") == {"seed": 0}
        assert store.configuration == {"graph": "abc", "space": {"sizes": [8, 16]}}
        assert store.measurement("model", "device", "options") == {"median_ms": 2.5}
        assert store.measurement("model", "device", "other") is None


def test_a_store_without_a_path_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store() as store:
        store.begin_run("genetic", {}, {})
        assert store.runs == ("genetic",)
        assert store.configuration is None
    assert list(tmp_path.iterdir()) == []


# Kill, disk, other processes


def test_what_a_killed_process_wrote_is_there_and_whole(path):
    program = (
        "import sys\n"
        "from tfmeta.graph.structure import Structure\n"
        "from tfmeta.store import Store\n"
        "from tfmeta.trial import Trial\n"
        "store = Store(sys.argv[1])\n"
        "store.begin_run('genetic', {}, {})\n"
        "for position in range(100000):\n"
        "    store.add_trial('genetic', Trial(Structure((8,)), 0, position, {}))\n"
        "    print(position, flush=True)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", program, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    for _ in range(20):
        child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    acknowledged = 20 + len(child.stdout.readlines())
    assert child.wait() == -signal.SIGKILL
    with Store(path) as store:
        trials = store.trials("genetic")
    assert [trial.position for trial in trials] == list(range(len(trials)))
    # The last one may have been written and not yet printed.
    assert acknowledged <= len(trials) <= acknowledged + 1


def test_a_full_disk_is_told_and_what_was_written_stays(path):
    filled(path)
    with Store(path) as store:
        # SQLite's own limit on the pages of a file fails in the way of a full disk.
        pages = store._database.row("PRAGMA page_count")[0]
        store._database.row(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match=r"is full. Free some space and run the same command"):
            for position in range(3, 1000):
                store.add_trial("genetic", Trial(Structure((8,)), 0, position, {}))
        written = len(store.trials("genetic"))
        assert 3 <= written < 1000
        store._database.row("PRAGMA max_page_count = 100000")
        store.add_trial("genetic", Trial(Structure((8,)), 0, written, {}))  # goes on after the trouble
    with Store(path) as store:
        assert len(store.trials("genetic")) == written + 1


def test_two_processes_in_one_run_are_told(path):
    filled(path)
    with Store(path) as first, Store(path) as second:
        first.add_trial("genetic", Trial(Structure((8,)), 1, 0, {}))
        with pytest.raises(StoreError, match=r"Another process is writing to the store"):
            second.add_trial("genetic", Trial(Structure((8,)), 1, 0, {}))
        assert len(second.trials("genetic")) == 4


def test_a_value_that_is_no_json_is_not_half_written(path):
    filled(path)
    with Store(path) as store:
        with pytest.raises(ValueError, match="JSON"):
            store.add_trial("genetic", Trial(Structure((8,)), 1, 0, {"accuracy": float("nan")}))
        assert len(store.trials("genetic")) == 3


# Other and damaged files


def test_the_store_of_another_configuration_tells_what_differs(path):
    filled(path)
    with Store(path) as store:
        store.claim({"graph": "abc", "space": {"sizes": [8, 16]}})
        with pytest.raises(StoreError) as error:
            store.claim({"graph": "xyz", "space": {"sizes": [8, 32]}})
    text = str(error.value)
    assert str(path) in text
    assert 'graph was "abc", is "xyz"' in text
    assert "space.sizes.1 was 16, is 32" in text
    assert "another store" in text


def test_a_run_with_other_settings_tells_the_first_three_differences(path):
    filled(path)
    with Store(path) as store, pytest.raises(StoreError) as error:
        store.begin_run("genetic", {"seed": 1, "a": 1, "b": 2, "c": "x" * 200}, {})
    text = str(error.value)
    assert "holds the run 'genetic' with other settings: a was null, is 1; b was " in text
    assert "... and 1 more" in text


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (
            lambda data: b"these are no tables, but words" * 99,
            "is damaged .*file is not a database",
        ),
        (lambda data: data[: len(data) // 2], "is damaged"),
        (lambda data: data[:8192] + b"\xff" * 4096 + data[12288:], "is damaged"),
    ],
    ids=["garbage", "truncated", "overwritten"],
)
def test_a_damaged_file_is_named_and_left_as_it_is(path, damage, text):
    damaged = damage(filled(path, trials=200).read_bytes())
    path.write_bytes(damaged)
    with pytest.raises(StoreError, match=text) as error:
        Store(path)
    assert str(path) in str(error.value)
    assert path.read_bytes() == damaged


def test_an_entry_that_is_no_trial_is_named(path):
    filled(path)
    for entry, text in (
        ("{", "an entry is not JSON"),
        ('{"a": 1}', "a trial of the run 'genetic'"),
    ):
        with sqlite3.connect(path) as database:
            database.execute("UPDATE trials SET trial = ?", (entry,))
        database.close()
        with Store(path) as store, pytest.raises(StoreError, match=text):
            store.trials("genetic")


def test_an_empty_file_is_a_new_store(path):
    # A kill between the making of the file and the first write leaves this.
    path.parent.mkdir()
    path.touch()
    filled(path)
    with Store(path) as store:
        assert len(store.trials("genetic")) == 3


def test_a_newer_schema_is_refused(path):
    filled(path)
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    database.close()
    with pytest.raises(StoreError, match=f"has schema version {SCHEMA_VERSION + 1}, this tfmeta"):
        Store(path)


def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "bookmarks.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE bookmarks (place TEXT)")
    database.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=r"is a SQLite file but not a tfmeta store"):
        Store(path)
    assert path.read_bytes() == before


def test_paths_that_cannot_be_opened(tmp_path):
    with pytest.raises(StoreError, match=r"There is no store at .*Run a search first"):
        Store(tmp_path / "absent.sqlite", must_exist=True)
    assert not (tmp_path / "absent.sqlite").exists()
    with pytest.raises(StoreError, match=r"Cannot use the store .*Check the path"):
        Store(tmp_path)  # a folder
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError, match=r"Cannot open the store"):
        Store(tmp_path / "file" / "store.sqlite")


def test_an_unknown_run_is_told_with_the_known_ones(path):
    filled(path)
    with Store(path) as store:
        for read in (store.run_configuration, store.state):
            with pytest.raises(StoreError, match=r"no run 'random' in .* Runs in it: genetic"):
                read("random")


def test_trials_are_plain_json():
    assert Trial.from_json(json.loads(json.dumps(TRIAL.to_json()))) == TRIAL
    assert TRIAL.to_json()["widths"] == [8, 16]


@pytest.mark.parametrize(
    ("changes", "eligible"),
    [
        ({}, True),
        ({"violation": 0.1}, False),
        ({"failed": True}, False),
        ({"fitness": None}, False),
    ],
)
def test_only_feasible_evaluated_trials_may_win(changes, eligible):
    data = {**TRIAL.to_json(), "violation": 0.0, **changes}
    assert Trial.from_json(data).eligible is eligible
