"""The work directory: one process at a time, options that bind once something was made, files by name."""

import json

import pytest

from tfmeta import files
from tfmeta.errors import UserError, WorkdirError
from tfmeta.workdir import Workdir


@pytest.fixture
def workdir(tmp_path):
    with Workdir(tmp_path / "work") as workdir:
        yield workdir


def test_the_folder_is_made(tmp_path):
    with Workdir(tmp_path / "a/b") as workdir:
        assert workdir.path.is_dir()
        assert workdir.config == {}
        assert not workdir.begun


def test_one_process_at_a_time(workdir):
    with pytest.raises(WorkdirError, match=r"Another process works in .*work\. Wait for it, or give another --workdir"):
        Workdir(workdir.path)
    workdir.close()
    Workdir(workdir.path).close()


def test_what_a_killed_process_left_is_removed(tmp_path):
    for place in (".", "checkpoints", "models/main", "export/main"):
        folder = tmp_path / place / f"{files._PARTIAL}abc"
        folder.mkdir(parents=True)
        (folder / "half").write_text("half")
    (tmp_path / "checkpoints/whole.weights.h5").write_text("whole")
    with Workdir(tmp_path) as workdir:
        left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
        assert left == [".lock", "checkpoints/whole.weights.h5"]
        assert workdir.begun


def test_options_change_until_something_was_made(workdir):
    workdir.claim("train", {"epochs": 1}, begun=False)
    workdir.claim("train", {"epochs": 2, "sizes": (1, 2)}, begun=False)
    workdir.claim("search", {"seed": 0}, begun=False)
    assert workdir.config == {"train": {"epochs": 2, "sizes": [1, 2]}, "search": {"seed": 0}}
    workdir.claim("train", {"epochs": 2, "sizes": (1, 2)}, begun=True)
    with pytest.raises(WorkdirError) as error:
        workdir.claim("train", {"epochs": 3, "sizes": (1, 4)}, begun=True, instead="delete it")
    assert str(error.value) == (
        f"{workdir.path} was begun with other options of 'train': epochs was 2, is 3; sizes.1 was 2, is 4. Repeat "
        "those, or delete it."
    )
    assert workdir.config["train"]["epochs"] == 2


def test_many_differences_are_counted(workdir):
    workdir.claim("train", dict.fromkeys("abcde", 0), begun=False)
    with pytest.raises(WorkdirError, match=r"a was 0, is 1; b was 0, is 1; c was 0, is 1 and 2 more\. Repeat those"):
        workdir.check("train", dict.fromkeys("abcde", 1))


def test_claiming_the_same_again_writes_nothing(workdir):
    workdir.claim("train", {"epochs": 1}, begun=False)
    before = (workdir.path / "config.json").stat().st_mtime_ns
    workdir.claim("train", {"epochs": 1}, begun=True)
    workdir.claim("train", {"epochs": 1}, begun=False)
    assert (workdir.path / "config.json").stat().st_mtime_ns == before


def test_a_missing_section_names_the_stage(workdir):
    with pytest.raises(WorkdirError, match=f"has no 'project' yet. Run first: tfmeta train --workdir={workdir.path}"):
        workdir.section("project", "train")
    workdir.claim("project", {"seed": 1}, begun=False)
    assert workdir.section("project", "train") == {"seed": 1}


@pytest.mark.parametrize("damage", ["", "{", "[]", "5"])
def test_a_damaged_configuration_is_told_and_kept(damage, workdir):
    (workdir.path / "config.json").write_text(damage)
    with pytest.raises(WorkdirError, match=r"config\.json"):
        workdir.claim("train", {}, begun=False)
    assert (workdir.path / "config.json").read_text() == damage


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "is missing. Run first: tfmeta search"),
        ("{", "is damaged .* Delete it and run tfmeta search again"),
        ("[1]", "expected an object with a, b"),
        ('{"a": 1}', "expected an object with a, b"),
    ],
)
def test_a_result_is_read_whole_or_not_at_all(text, message, workdir):
    path = workdir.search("main")
    path.parent.mkdir()
    if text is not None:
        path.write_text(text)
    with pytest.raises(WorkdirError, match=message):
        workdir.read_json(path, "search", ("a", "b"))
    path.write_text(json.dumps({"a": 1, "b": 2, "c": 3}))
    assert workdir.read_json(path, "search", ("a", "b")) == {"a": 1, "b": 2, "c": 3}


def test_no_two_results_share_a_place(workdir):
    for place in (workdir.export, workdir.report):
        pairs = [(name, init) for name in ("main", "main-generated", "small") for init in ("scratch", "generated")]
        assert len({place(*pair) for pair in pairs}) == len(pairs)
    assert workdir.report("main", "scratch") == workdir.path


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".hidden", "a b", "-x"])
def test_names_stay_inside_the_folder(name, workdir):
    for place in (workdir.search, lambda name: workdir.export(name, "scratch")):
        with pytest.raises(UserError, match="Expected a --name of letters, digits"):
            place(name)


def test_half_a_bundle_of_a_killed_export_is_removed(tmp_path):
    half = tmp_path / "work" / "export" / ".partial-abc" / "main"
    half.mkdir(parents=True)
    (half / "searched-int8.tflite").write_text("half")
    with Workdir(tmp_path / "work"):
        assert list((tmp_path / "work" / "export").iterdir()) == []
