"""What a bundle is called, and what it must not lack."""

import pytest

from tfmeta.errors import ExportError
from tfmeta.project import ProjectOptions
from tfmeta.stages import export
from tfmeta.stages.export import ExportOptions, origin_of, require_written, unwritten


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
