"""The rules of the house, each read from the source with ``ast`` and told with what to do."""

import ast
import functools
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The rooms of tfmeta in the direction of the data. A room imports from those before it only.
ROOMS = (
    "differences",
    "errors",
    "files",
    "lazy",
    "progress",
    "registry",
    "tasks",
    "graph",
    "data",
    "networks",
    "prune",
    "importance",
    "checkpoint",
    "distillation",
    "supernet",
    "callbacks",
    "training",
    "trial",
    "database",
    "store",
    "export",
    "objectives",
    "latency",
    "search",
    "report",
    "workdir",
    "project",
    "stages",
    "bin",
    "__main__",
)

# The folders of tflite_bench, likewise. Modules beside them are the vocabulary of all.
BENCH_FOLDERS = ("statistics", "host", "benchmark_model", "adb", "measure", "phone", "staircase", "bin")

MAX_MODULE_LINES = 320
MAX_FUNCTION_LINES = 60
MAX_PUBLIC_NAMES = 25

KERAS_INTERNALS = {
    "_inbound_nodes",
    "_keras_history",
    "_nodes",
    "_nodes_by_depth",
    "_operations",
    "_outbound_nodes",
    "operations",
}
MODEL_BUILDERS = {
    "tfmeta/graph/rebuild.py",
    "tfmeta/export/converter.py",  # puts an input of batch size 1 before a finished model
    "tfmeta/export/legacy/rebuild.py",  # the same walk, for tf_keras
    "tfmeta/export/legacy/convert.py",  # as converter.py
    "tfmeta/export/legacy/kernels.py",  # TFMOT wraps layers in a clone
}
MODEL_MAKERS = {"Model", "Functional", "Sequential", "clone_model"}
PROCESS_STARTERS = {
    "tflite_bench/process.py",
    "tfmeta/export/isolated.py",  # comes before latency, the gateway to the former, and talks to what it starts
}
VAGUE_NAMES = {"common", "helper", "helpers", "misc", "util", "utils"}


def _sources(*folders: str) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py"))


LIBRARY = _sources("tfmeta", "tflite_bench")
TFMETA = [path for path in LIBRARY if path.startswith("tfmeta/")]
BENCH = [path for path in LIBRARY if path.startswith("tflite_bench/")]

each_module = pytest.mark.parametrize("path", LIBRARY)
each_tfmeta_module = pytest.mark.parametrize("path", TFMETA)


@functools.cache
def _parse(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=path)


def _module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def _room(module: str) -> str:
    """The part of a module's name after the package: "graph" for "tfmeta.graph.rules"."""
    return module.split(".")[1] if "." in module else ""


def _is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in (
        "TYPE_CHECKING",
        "typing.TYPE_CHECKING",
    )


def _walk(tree: ast.AST, *, at_import: bool = False) -> Iterator[ast.AST]:
    """All nodes; with ``at_import`` those that run when the module is imported."""
    for child in ast.iter_child_nodes(tree):
        late = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if at_import and (late or _is_type_checking(child)):
            continue
        yield child
        yield from _walk(child, at_import=at_import)


def _imports(path: str, *, at_import: bool = False) -> set[str]:
    """Full names of what a module imports, ``from a import b`` as "a.b"."""
    names = set()
    for node in _walk(_parse(path), at_import=at_import):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: write the full name of the package."
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def _packages(path: str, *, at_import: bool = False) -> set[str]:
    return {name.split(".")[0] for name in _imports(path, at_import=at_import)}


def _fail(path: str, nodes: list[ast.AST], advice: str) -> None:
    if nodes:
        lines = "\n".join(f"  {path}:{node.lineno}: {ast.unparse(node)[:80]}" for node in nodes)
        pytest.fail(f"{advice}\n{lines}", pytrace=False)


@each_tfmeta_module
def test_imports_go_one_way(path):
    room = _room(_module_name(path))
    if not room:  # tfmeta/__init__.py shows all rooms
        return
    assert room in ROOMS, f"{room!r} is a new room of tfmeta: give it a place in ROOMS."
    allowed = ROOMS[: ROOMS.index(room) + 1]
    imported = {name for name in _imports(path) if name.split(".")[0] == "tfmeta"}
    back = sorted(name for name in imported if _room(name) not in allowed)
    assert not back, (
        f"{path} is in room {room!r}, which comes before what it imports: {back}. Pass the "
        "thing in as an argument, name it in a registry, or move the code to the later room."
    )


@pytest.mark.parametrize("path", [path for path in BENCH if path.count("/") > 1])
def test_folders_of_tflite_bench_import_one_way(path):
    folder = _room(_module_name(path))
    assert folder in BENCH_FOLDERS, f"{folder!r} is a new folder of tflite_bench: give it a place in BENCH_FOLDERS."
    later = BENCH_FOLDERS[BENCH_FOLDERS.index(folder) + 1 :]
    back = sorted(name for name in _imports(path) if name.startswith("tflite_bench.") and _room(name) in later)
    assert not back, f"{path} is in {folder!r}, which comes before what it imports: {back}."


@pytest.mark.parametrize("path", BENCH)
def test_tflite_bench_stands_alone(path):
    heavy = _packages(path) & {"tfmeta", "tensorflow", "keras"}
    assert not heavy, f"{path} imports {heavy}, but tflite_bench is useful without them."


@each_tfmeta_module
def test_only_latency_imports_tflite_bench(path):
    if not path.startswith("tfmeta/latency/"):
        assert "tflite_bench" not in _packages(path), (
            f"{path} imports tflite_bench: go through tfmeta.latency, the gateway to devices."
        )


@each_tfmeta_module
def test_only_the_reader_reads_keras_graphs(path):
    if path != "tfmeta/graph/reader.py":
        reads = [
            node for node in _walk(_parse(path)) if isinstance(node, ast.Attribute) and node.attr in KERAS_INTERNALS
        ]
        _fail(path, reads, "Ask the ChannelGraph; only graph/reader.py reads a Keras graph.")


@each_tfmeta_module
def test_only_rebuild_builds_derived_models(path):
    if path not in MODEL_BUILDERS and not path.startswith("tfmeta/networks/"):
        calls = [
            node
            for node in _walk(_parse(path))
            if isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] in MODEL_MAKERS
            and ast.unparse(node.func).split(".")[0] in ("keras", "tf", "tf_keras()", *MODEL_MAKERS)
        ]
        _fail(path, calls, "Make the model with graph/rebuild.py, the only walk that builds one.")


@each_module
def test_flags_live_in_bin(path):
    if path.split("/")[1] != "bin":
        assert not any(name.startswith("absl.flags") for name in _imports(path)), (
            f"{path} imports absl.flags: take an options dataclass, flags belong to bin/ alone."
        )


def _defines_keras_class(path: str) -> bool:
    """Whether a class of the module derives from, or is registered with, Keras or TensorFlow."""
    return any(
        ast.unparse(part).split("(")[0].split(".")[0] in ("keras", "tf", "tensorflow")
        for node in _walk(_parse(path), at_import=True)
        if isinstance(node, ast.ClassDef)
        for part in (*node.bases, *node.decorator_list)
    )


@each_module
def test_heavy_packages_are_imported_late(path):
    heavy = _packages(path, at_import=True) & {
        "ai_edge_litert",
        "keras",
        "matplotlib",
        "sklearn",
        "tensorflow",
        "tensorflow_model_optimization",
        "tf_keras",
    }
    if _defines_keras_class(path):
        heavy -= {"keras", "tensorflow"}
    assert not heavy, (
        f"{path} imports {heavy} on import, and --help must answer at once: write "
        "`from tfmeta.lazy import keras, tf`, or import inside the function that needs it."
    )


@each_module
def test_only_the_legacy_door_knows_tf_keras(path):
    names = {
        node.value.split(".")[0]
        for node in _walk(_parse(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    found = {"tf_keras", "tensorflow_model_optimization"} & (_packages(path) | names)
    if path != "tfmeta/export/legacy/packages.py":
        assert not found, f"{path} imports {found}: ask tfmeta.export.legacy.packages for it."
    users = [name for name in _imports(path) if name.startswith("tfmeta.export.legacy.packages")]
    if not path.startswith("tfmeta/export/legacy/"):
        assert not users, f"{path} asks for tf_keras: only tfmeta/export/legacy/ knows it."


@each_module
def test_only_the_mixed_quantizer_knows_litert_quantizer(path):
    if path != "tfmeta/export/mixed/quantizer.py":
        assert "litert_quantizer" not in (ROOT / path).read_text(encoding="utf-8"), (
            f"{path} names litert_quantizer: go through tfmeta.export.mixed.quantizer."
        )


@each_module
def test_no_assert_in_the_library(path):
    asserts = [node for node in _walk(_parse(path)) if isinstance(node, ast.Assert)]
    _fail(path, asserts, "Raise an error of errors.py: what was expected, received, what to do.")


@each_module
def test_only_two_modules_start_processes(path):
    if path not in PROCESS_STARTERS:
        assert not {"subprocess", "pty", "multiprocessing"} & _packages(path), (
            f"{path} starts processes: only {' and '.join(sorted(PROCESS_STARTERS))} do."
        )


@each_module
def test_modules_are_short(path):
    lines = len((ROOT / path).read_text(encoding="utf-8").splitlines())
    assert lines <= MAX_MODULE_LINES, (
        f"{path} has {lines} lines, more than {MAX_MODULE_LINES}: find the two things it does."
    )


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from the ``def`` to the end, without the docstring."""
    lines = function.end_lineno - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= function.body[0].end_lineno - function.body[0].lineno + 1
    return lines


@each_module
def test_functions_are_short(path):
    long = [
        f"{path}:{node.lineno}: {node.name} has {_body_lines(node)} lines"
        for node in _walk(_parse(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _body_lines(node) > MAX_FUNCTION_LINES
    ]
    assert not long, f"Split functions of more than {MAX_FUNCTION_LINES} lines: {long}"


@each_module
def test_names_say_what_a_thing_is(path):
    assert Path(path).stem not in VAGUE_NAMES, f"{path}: name the module after what it holds."
    managers = [
        node for node in _walk(_parse(path)) if isinstance(node, ast.ClassDef) and node.name.endswith("Manager")
    ]
    _fail(path, managers, "Name the class after what it is or does.")


def _registry_entries() -> Iterator[tuple[str, str]]:
    """(place in the source, "package.module:attribute") of every registry in a package."""
    for path in LIBRARY:
        for node in _parse(path).body:
            value = getattr(node, "value", None)
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.Dict):
                for item in value.values:
                    text = item.value if isinstance(item, ast.Constant) else None
                    if isinstance(text, str) and re.fullmatch(r"[\w.]+:\w+", text):
                        yield f"{path}:{item.lineno}", text


@pytest.mark.parametrize(("place", "target"), _registry_entries())
def test_registry_entries_resolve(place, target):
    module, _, attribute = target.partition(":")
    found = importlib.import_module(module)
    assert hasattr(found, attribute), f"{place}: {module} has no {attribute!r}."


def test_the_public_names_are_few_and_there():
    tfmeta = importlib.import_module("tfmeta")
    assert len(set(tfmeta.__all__)) == len(tfmeta.__all__) <= MAX_PUBLIC_NAMES
    missing = [name for name in tfmeta.__all__ if getattr(tfmeta, name, None) is None]
    assert not missing, f"tfmeta.__all__ names what is not there: {missing}"
