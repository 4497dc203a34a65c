"""`tfmeta latency`, and searches that predict latency: what they write, tell and refuse."""

import contextlib
import json
import shutil
import signal
import sqlite3

import pytest

from tests import projects
from tfmeta import __main__ as program

QUICK = ("--num_runs=10", "--min_secs=0", "--warmup_secs=0", "--rounds=3", "--retries=0")
BUILD = ("--build", "--measurements=12", "--held_out=3", *QUICK)
LIMIT = ("--generations=2", "--population=6", "--calibration_images=50", *QUICK)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A trained project with a latency table."""
    folder = tmp_path_factory.mktemp("latency")
    projects.saved_model(folder / "model.keras")
    train = [*projects.TRAIN, "--epochs=1", "--multiple_of=2"]
    assert program.main(["train", f"--workdir={folder}/work", f"--model={folder}/model.keras", *train]) == 0
    assert program.main(["latency", f"--workdir={folder}/work", *BUILD]) == 0
    return folder / "work"


@pytest.fixture(scope="module")
def limit(work):
    """Less than the full network takes."""
    table = projects.read(work / "latency_table.json")
    return f"--max_latency_ms={0.85 * table['baseline_ms']:.6f}"


def sql(workdir, statement):
    """What a statement finds in the store of a project."""
    with contextlib.closing(sqlite3.connect(workdir / "store.sqlite")) as database, database:
        return database.execute(statement).fetchall()


@pytest.fixture
def mistake(capsys):
    def run(*arguments):
        capsys.readouterr()
        assert program.main([str(argument) for argument in arguments]) == 1
        lines = capsys.readouterr().err.replace("\r", "\n").splitlines()
        return " ".join(line for line in lines if line.strip() and "%|" not in line)

    return run


def test_the_table_is_told_and_not_made_twice(work, tmp_path, capsys, mistake):
    before = (work / "latency_table.json").read_bytes()
    capsys.readouterr()
    for arguments in ((f"--workdir={work}", *BUILD), (f"--workdir={work}",)):
        assert program.main(["latency", *arguments]) == 0
        told = capsys.readouterr().out
        assert "12 structures to fit and 3 held out" in told and told.endswith(f"Table: {work}/latency_table.json\n")
    assert (work / "latency_table.json").read_bytes() == before
    assert program.main(["latency", f"--show={work}/latency_table.json"]) == 0
    told = mistake("latency", f"--workdir={work}", *BUILD, "--held_out=4")
    assert "latency_table.json holds another table: held_out was 3, is 4. Give another --output, or delete it." in told
    output = f"--output={tmp_path}/other.json"
    assert program.main(["latency", f"--workdir={work}", *BUILD, "--held_out=4", output]) == 0
    assert len(projects.read(tmp_path / "other.json")["points"]) == 16


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "Expected --build --workdir=DIR, --workdir=DIR or --show=FILE."),
        (("--build", "--show=a"), "Expected --build --workdir=DIR, --workdir=DIR or --show=FILE."),
        (("--show=none.json",), "There is no latency table at none.json. Make one: tfmeta latency --build"),
    ],
)
def test_flags_that_do_not_go_together(arguments, text, mistake):
    assert mistake("latency", *arguments) == f"tfmeta latency: {text}" + (" --workdir=…" if "none" in text else "")


def test_a_table_is_built_before_anything_is_trained(work, tmp_path, mistake):
    folder = tmp_path / "new"
    told = mistake("latency", f"--workdir={folder}", *BUILD)
    assert "has no network to measure yet. Give --model and --dataset, or run tfmeta train first." in told
    model = (f"--model={work.parent}/model.keras", "--dataset=digits", "--multiple_of=2")
    for flags in (model, ()):  # the second time it knows
        assert program.main(["latency", f"--workdir={folder}", *BUILD, *flags]) == 0
    built, known = (projects.read(one / "latency_table.json") for one in (folder, work))
    for name in ("fingerprint", "groups", "seed"):
        assert built[name] == known[name]
    assert [one["widths"] for one in built["points"]] == [one["widths"] for one in known["points"]]
    assert not (folder / "checkpoints").exists()
    path = folder / "latency_table.json"
    whole = path.read_bytes()
    path.write_bytes(whole[:2000])
    told = mistake("latency", f"--workdir={folder}", *BUILD)
    assert "Received: a damaged file" in told and "Move it away, or give another --output, and make one: " in told
    path.write_bytes(whole)
    told = mistake("latency", f"--workdir={folder}", *BUILD, *model[:2], "--multiple_of=1")
    other = "its structures are of another space (--multiple_of, --min_ratio)"
    assert f"latency_table.json holds another table: {other}. Give another --output, or delete it." in told
    told = mistake("latency", f"--workdir={work}", *BUILD, "--multiple_of=4")
    assert "has a trained network, which is what is measured. Leave out --multiple_of, or give another" in told


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (("--latency=predicted", "--max_latency_ms=5"), "There is no latency table at "),
        (("--latency=hybrid", "--max_latency_ms=5", "--latency_table=typo"), "There is no latency table at typo."),
        (("--latency=hybrid", "--max_macs=0.5x"), "--latency=hybrid needs a limit on latency"),
        (("--max_macs=0.5y",), "Expected an amount like 41M"),
        (("--max_latency_ms=0.5y",), "Expected an amount like 41M"),
        (("--min_latency_ms=5y", "--max_latency_ms=0.5x"), "Expected an amount like 41M"),
        (("--min_latency_ms=0.9x", "--max_latency_ms=0.5x"), "Expected finite limits with lower <= upper"),
        (("--max_macs=1",), "Budget"),
    ],
)
def test_a_run_is_refused_before_it_trains(work, tmp_path, mistake, flags, text):
    project = (f"--model={work.parent}/model.keras", "--dataset=digits")
    assert text in mistake("run", f"--workdir={tmp_path}/new", *project, *flags)
    assert not (tmp_path / "new" / "checkpoints").exists()


def test_a_hybrid_search_reports_what_it_measured(work, limit, capsys):
    command = ["search", f"--workdir={work}", "--name=hybrid", "--latency=hybrid", limit, *LIMIT]
    assert program.main(command) == 0
    told = capsys.readouterr().out
    found = projects.read(work / "searches/hybrid.json")
    assert found["latency"]["source"] == "hybrid"
    rows = sql(work, "SELECT payload FROM measurements")
    measured = [(one["widths"], one["latency_ms"]) for (row,) in rows if "widths" in (one := json.loads(row))]
    for entry in (*found["structures"].values(), *found["pareto"]):
        assert (entry["widths"], entry["values"]["latency"]) in measured
    assert f"{found['latency']['measured']} structures were measured, 40 of them to begin with, " in told
    assert program.main(["report", f"--workdir={work}", "--name=hybrid"]) == 0
    assert {"latency.png", "operators.png"} <= {path.name for path in (work / "reports/hybrid").iterdir()}
    assert "everything told here as latency was measured" in (work / "reports/hybrid/report.md").read_text()


def test_a_predicted_search_never_says_measured(work, limit, capsys):
    assert program.main(["search", f"--workdir={work}", "--name=p", "--latency=predicted", limit, *LIMIT]) == 0
    told = capsys.readouterr().out
    assert "ms, predicted and not measured" in told and " ms predicted, not measured" in told
    found = projects.read(work / "searches/p.json")
    for entry in (*found["structures"].values(), *found["pareto"]):
        assert "latency" not in entry["values"]
        assert entry["values"]["predicted_latency_std_ms"] > 0
    assert found["structures"]["searched"]["values"]["predicted_latency_ms"] <= float(limit.split("=")[1])
    assert found["latency"]["measured"] == 0
    assert found["latency"]["table"]["file"] == "latency_table.json"


@pytest.mark.parametrize("how", ["measured", "predicted"])
def test_a_limit_on_latency_may_be_a_share(work, how):
    share = ["search", f"--workdir={work}", f"--name=share-{how}", f"--latency={how}", "--max_latency_ms=0.9x", *LIMIT]
    assert program.main(share) == 0
    limit_ms = 0.9 * projects.read(work / "latency_table.json")["baseline_ms"]
    found = projects.read(work / f"searches/share-{how}.json")
    assert found["budget"].startswith(f"at most {limit_ms:g} ms (0.90 of the full network)")
    name = "latency" if how == "measured" else "predicted_latency_ms"
    assert found["structures"]["searched"]["values"][name] <= limit_ms


def test_a_table_of_another_device_only_where_that_is_said(work, limit, tmp_path, capsys, mistake):
    values = projects.read(work / "latency_table.json")
    values["device"]["name"] = "Pixel 8"
    projects.write(tmp_path / "phone.json", values)
    table = f"--latency_table={tmp_path}/phone.json"
    for how in ("predicted", "hybrid"):
        told = mistake("search", f"--workdir={work}", "--name=x", f"--latency={how}", table, limit, *LIMIT)
        assert 'The latency table was made on another device or with other options: name was "Pixel 8"' in told
        command = ["search", f"--workdir={work}", f"--name=x{how}", f"--latency={how}", table, limit, *LIMIT]
        assert program.main([*command, "--allow_other_device_table"]) == 0
        assert "The latency table is of another device or other options" in capsys.readouterr().out
        assert "Pixel 8" in str(projects.read(work / f"searches/x{how}.json")["latency"])
    assert program.main(["report", f"--workdir={work}", "--name=xpredicted"]) == 0
    assert "The latency table is of another device" in (work / "reports/xpredicted/report.md").read_text()
    told = mistake("search", f"--workdir={work}", "--name=y", table, limit, *LIMIT)
    assert told.endswith("Where every latency is measured, no table is used. Set --latency=predicted or hybrid.")
    told = mistake("search", f"--workdir={work}", "--name=y", "--latency=hybrid", "--max_macs=0.5x", *LIMIT)
    assert told == "tfmeta search: --latency=hybrid needs a limit on latency, for example --max_latency_ms=12."


def test_a_hybrid_search_that_was_killed_is_the_one_that_the_same_measurements_give(work, limit, tmp_path):
    killed, again = tmp_path / "killed", tmp_path / "again"
    shutil.copytree(work, killed)
    (killed / "latency_table.json").unlink()
    sql(killed, "DELETE FROM measurements")
    before = projects.trials(killed)
    command = ("search", "--name=k", "--latency=hybrid", limit, *LIMIT, "--generations=3")
    process = projects.start(*command, f"--workdir={killed}")
    projects.signal_when(process, lambda: projects.trials(killed) >= before + 12)
    assert projects.finished(process).returncode == -signal.SIGKILL
    assert not (killed / "searches/k.json").exists()
    assert program.main([*command, f"--workdir={killed}"]) == 0
    counted = projects.read(killed / "searches/k.json")["latency"]
    rows = [json.loads(row) for (row,) in sql(killed, "SELECT payload FROM measurements")]
    assert counted["measured"] == sum(one["kind"] == "structure" for one in rows) > counted["to_begin_with"] == 40
    shutil.copytree(killed, again)
    (again / "searches/k.json").unlink()
    for table, column in (("trials", "run"), ("states", "run"), ("runs", "name")):
        sql(again, f"DELETE FROM {table} WHERE {column} LIKE 'k%'")
    assert program.main([*command, f"--workdir={again}"]) == 0
    assert projects.read(again / "searches/k.json") == projects.read(killed / "searches/k.json")
    count = "SELECT COUNT(*) FROM measurements"
    assert sql(again, count) == sql(killed, count), "nothing was measured again"
