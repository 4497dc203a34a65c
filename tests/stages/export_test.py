"""What a bundle is called, and what it must not lack."""

import hashlib

import pytest

from tfmeta.errors import ExportError
from tfmeta.project import ProjectOptions
from tfmeta.stages import export
from tfmeta.stages.export import ExportOptions, altered, is_current, origin_of, require_written, unwritten


@pytest.mark.parametrize(
    ("model", "name", "title"),
    [
        ("mobilenet_v1?width=0.25&blocks=8", "main", "mobilenet_v1?width=0.25&blocks=8"),
        ("keras.applications:MobileNetV2?alpha=0.5", "main", "keras.applications:MobileNetV2?alpha=0.5"),
        ("my.module:network", "main", "my.module:network"),
        ("/home/me/nets/reader.v2.keras", "main", "reader.v2"),
        ("vgg", "small", "small"),
    ],
)
def test_a_bundle_is_called_after_its_network_or_its_search(model, name, title, monkeypatch):
    found = {"evaluations": 4, "budget": "none", "structures": {}}
    monkeypatch.setattr(export, "result", lambda project, name: found)
    workdir = type("Workdir", (), {"config": {}})
    project = type("Project", (), {"workdir": workdir, "options": ProjectOptions(model=model)})
    origin = origin_of(project, ExportOptions(name=name))
    assert (origin.name, origin.network) == (title, model)


def manifest(files, refused):
    return {
        "files": [{"model": model, "scheme": "fp32"} for model in files],
        "refused": [{"model": model, "scheme": "int8", "reason": "No kernel."} for model in refused],
    }


@pytest.mark.parametrize(
    ("files", "refused", "lacking"),
    [
        (["searched", "full"], [], []),
        (["searched", "full"], ["full"], []),  # a control
        (["searched", "full"], ["searched", "full"], ["searched"]),
        (["full"], ["full"], ["full"]),  # there is no other
        (["front00", "front01"], ["front01"], []),
        (["front00"], ["front00"], ["front00"]),
    ],
)
def test_what_a_bundle_must_not_lack(files, refused, lacking):
    made = manifest(files, refused)
    assert [one["model"] for one in unwritten(made)] == lacking
    if lacking:
        with pytest.raises(ExportError, match=f"Not written: {lacking[0]}-int8.tflite. .* int8 of .*: No kernel."):
            require_written(made)
    else:
        require_written(made)


@pytest.fixture
def bundle(tmp_path):
    """Seven files and a network, and the manifest of them."""
    names = [f"searched-{number}.tflite" for number in range(4)], ["labels.txt", "snippets/one.py", "MODEL_CARD.md"]
    (tmp_path / "snippets").mkdir()
    for name in ("searched.keras", *names[0], *names[1]):
        (tmp_path / name).write_text(name)
    digests = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("searched.keras", *names[0], *names[1])}
    made, sidecars = [[{"file": name, "sha256": digests[name]} for name in some] for some in names]
    of = {"model": "searched", "model_sha256": digests["searched.keras"]}
    return tmp_path, {"files": [{**one, **of} for one in made], "refused": [], "sidecars": sidecars}


def test_a_bundle_as_it_was_written_is_current(bundle, capsys):
    folder, made = bundle
    (folder / "notes.txt").write_text("of the user")
    (folder / "MODEL_CARD.md").write_text("with notes of the user")
    models = {"searched": folder / "searched.keras"}
    assert is_current(folder, made, models) and is_current(folder, {**made, "sidecars": []}, models)
    del made["sidecars"]  # as in manifests of before
    assert is_current(folder, made, models)
    assert capsys.readouterr() == ("", "")


def test_a_bundle_of_other_networks_is_not_current(bundle, capsys):
    folder, made = bundle
    (folder / "searched.keras").write_text("trained anew")
    assert not is_current(folder, made, {"searched": folder / "searched.keras"})
    assert capsys.readouterr().err == ""


def test_what_is_gone_or_changed_is_told_in_a_line(bundle, capsys):
    folder, made = bundle
    models = {"searched": folder / "searched.keras"}
    (folder / "snippets/one.py").unlink()
    assert not is_current(folder, made, models)
    assert capsys.readouterr().err == f"{folder}: snippets/one.py is gone. The bundle is written again.\n"
    for name in ("searched-0.tflite", "searched-2.tflite"):
        (folder / name).write_text("other")
    (folder / "labels.txt").unlink()
    (folder / "labels.txt").mkdir()  # is no file either
    assert not is_current(folder, made, models)
    assert capsys.readouterr().err == (
        f"{folder}: searched-0.tflite was changed, searched-2.tflite was changed, labels.txt is gone and 1 more. The "
        "bundle is written again.\n"
    )
    assert altered(folder, made["files"][:2]) == ["searched-0.tflite was changed"]
