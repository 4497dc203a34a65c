"""BUILD names every module and every test, with the dependencies that their imports ask for.

BUILD is written by hand. Where it lags behind, these tests print the rule as it should stand, but
for its ``data``, which no import tells.
"""

import ast
import dataclasses
import functools
import itertools
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tfmeta.bin import VERBS

ROOT = Path(__file__).resolve().parent.parent

# Small modules that every room uses and that import nothing of the house: one library.
BASE = {"differences", "errors", "files", "lazy", "progress", "registry"}

# Where the name on the package index is not the name that is imported.
DISTRIBUTIONS = {"PIL": "pillow", "absl": "absl_py", "sklearn": "scikit_learn"}

TEST_MAIN = "tests/run_pytest.py"


@dataclasses.dataclass(frozen=True)
class Rule:
    """One target of BUILD, as far as these tests compare it."""

    kind: str
    name: str
    srcs: frozenset[str]
    deps: frozenset[str] = frozenset()
    main: str | None = None
    args: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.kind}(", f'    name = "{self.name}",', *_listing("srcs", self.srcs)]
        lines += [f'    main = "{self.main}",'] if self.main else []
        lines += _listing("args", self.args) + _listing("deps", self.deps)
        return "\n".join([*lines, ")"])


def _listing(attribute, values):
    if len(values) <= 1:
        return [f'    {attribute} = ["{value}"],' for value in values]
    ordered = sorted(values, key=lambda value: (value.startswith("@"), value))
    return [f"    {attribute} = [", *(f'        "{value}",' for value in ordered), "    ],"]


def _evaluate(file, names):
    """Runs a Bazel file, which is Python but for its functions, with functions that record calls.

    Returns the calls as (function, positional arguments, keyword arguments).
    """
    calls = []

    def recorder(name):
        def record(*args, **kwargs):
            calls.append((name, args, kwargs))
            return _Extension(name, calls)

        return record

    functions = {name: recorder(name) for name in names} | {"glob": lambda *_, **__: []}
    code = compile((ROOT / file).read_text(encoding="utf-8"), file, "exec")
    exec(code, functions | {"__builtins__": {}})
    return calls


class _Extension:
    """What use_extension gives: its methods are recorded as calls of their own."""

    def __init__(self, name, calls):
        self._name, self._calls = name, calls

    def __getattr__(self, method):
        return lambda **kwargs: self._calls.append((f"{self._name}.{method}", (), kwargs))


@functools.cache
def _build():
    functions = ("load", "package", "exports_files", "filegroup")
    return _evaluate("BUILD", (*functions, "py_library", "py_binary", "py_test"))


def _rules():
    """The py_* targets of BUILD by name."""
    return {
        attributes["name"]: Rule(
            kind=kind,
            name=attributes["name"],
            srcs=frozenset(attributes["srcs"]),
            deps=frozenset(attributes.get("deps", ())),
            main=attributes.get("main"),
            args=tuple(attributes.get("args", ())),
        )
        for kind, _, attributes in _build()
        if kind.startswith("py_")
    }


def _files(folder):
    return sorted(str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py"))


def _library_of(path):
    """The name of the library that a source file belongs to: one a room."""
    package, *inner = path.removesuffix(".py").split("/")
    if package in ("tests", "benchmarks"):
        return "testing" if package == "tests" else "benchmarks"
    if package == "tflite_bench":
        return "tflite_bench_bin" if inner[0] in ("bin", "__main__") else "tflite_bench"
    if inner == ["__init__"]:
        return "tfmeta"
    if inner[0] in BASE:
        return "tfmeta_base"
    return "tfmeta_bin" if inner[0] == "__main__" else f"tfmeta_{inner[0]}"


SOURCES = [*_files("tfmeta"), *_files("tflite_bench")]
TESTS = [path for path in _files("tests") if path.endswith("_test.py")]
HELPERS = [path for path in (*_files("tests"), *_files("benchmarks")) if path not in TESTS]
MODULES = {path.removesuffix(".py").removesuffix("/__init__").replace("/", "."): path for path in (*SOURCES, *HELPERS)}


def _module_file(name):
    """The file of the module that ``name``, a module or something in one, lies in."""
    while name and name not in MODULES:
        name = name.rpartition(".")[0]
    return MODULES.get(name)


def _label(name):
    """The label for an imported name; None for the standard library."""
    package = name.split(".")[0]
    if package in sys.stdlib_module_names:
        return None
    file = _module_file(name)
    if file is None:
        return f"@pypi//{DISTRIBUTIONS.get(package, package)}"
    return f":{_library_of(file)}"


@functools.cache
def _imported(path):
    """Labels of what a file imports, and labels of what its registries name."""
    imports, named = set(), set()
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imports |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imports |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and re.fullmatch(r"tfmeta[\w.]+:\w+", str(node.value)):
            named.add(node.value.partition(":")[0])
    return {_label(name) for name in imports} - {None}, {_label(name) for name in named}


def _labels(paths, which):
    return frozenset().union(*(_imported(path)[which] for path in paths))


@functools.cache
def _libraries():
    """The libraries as they should stand, by name."""
    members = {}
    for path in (*SOURCES, *HELPERS):
        members.setdefault(_library_of(path), set()).add(path)
    return {
        name: Rule("py_library", name, frozenset(paths), _labels(paths, 0) - {f":{name}"})
        for name, paths in members.items()
    }


def _reachable(labels):
    """All labels that ``labels`` need, themselves included."""
    found, open_labels = set(), set(labels)
    while open_labels:
        label = open_labels.pop()
        found.add(label)
        if label.startswith(":"):
            open_labels |= _libraries()[label[1:]].deps - found
    return found


def _with_registered(labels):
    """``labels`` and the libraries that are found by name at run time only.

    A registry may name a later room, which imports the registry's own: as dependencies of libraries
    these would be a circle, so the program or the test has them.
    """
    labels = set(labels)
    while True:
        reached = _reachable(labels)
        sources = [path for path in SOURCES if f":{_library_of(path)}" in reached]
        missing = _labels(sources, 1) - reached
        if not missing:
            return frozenset(labels)
        labels |= missing


def _binary(package, verb):
    main = f"{package}/__main__.py"
    return Rule(
        "py_binary",
        f"{package}_{verb}".replace("_", "-"),
        frozenset({main}),
        _with_registered({f":{package}_bin"}),
        main,
        (verb,),
    )


def _test(path):
    name = path.removeprefix("tests/").removesuffix(".py").replace("/", "_")
    imports = _labels([path], 0) | {":testing"}
    return Rule("py_test", name, frozenset({path, TEST_MAIN}), _with_registered(imports), TEST_MAIN, (path,))


def _bench_verbs():
    return sorted(
        Path(path).stem
        for path in _files("tflite_bench/bin")
        if any(
            isinstance(node, ast.FunctionDef) and node.name == "main"
            for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body
        )
    )


EXPECTED = {
    rule.name: rule
    for rule in (
        *_libraries().values(),
        *(_binary("tfmeta", verb) for verb in VERBS),
        *(_binary("tflite_bench", verb) for verb in _bench_verbs()),
        *(_test(path) for path in TESTS),
    )
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_rule_agrees_with_the_sources(name):
    expected, found = EXPECTED[name], _rules().get(name)
    if found is None:
        pytest.fail(f"BUILD lacks this rule:\n\n{expected}", pytrace=False)
    if found != expected:
        pytest.fail(f"BUILD should have\n\n{expected}\n\ninstead of\n\n{found}", pytrace=False)


def test_no_rule_is_left_over():
    assert not (orphans := sorted(set(_rules()) - set(EXPECTED))), (
        f"Remove from BUILD what has no source any more: {orphans}"
    )


def test_names_are_given_once():
    names = [attributes["name"] for kind, _, attributes in _build() if "name" in attributes]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", sorted(_libraries()))
def test_libraries_do_not_depend_on_themselves(name):
    below = _reachable(_libraries()[name].deps)
    assert f":{name}" not in below, f":{name} is in a circle with one of {sorted(below)}"


def test_every_function_that_build_calls_is_loaded():
    loaded = {name for kind, args, _ in _build() if kind == "load" for name in args[1:]}
    assert loaded == {kind for kind, _, _ in _build() if kind.startswith("py_")}


def _pinned(file):
    """The distributions that a requirements file names, in the form of labels."""
    lines = (ROOT / file).read_text(encoding="utf-8").splitlines()
    return {
        re.match(r"[\w.-]+", line)[0].lower().replace("-", "_").replace(".", "_")
        for line in lines
        if re.match(r"\w", line)
    }


def _module_calls(function):
    names = ("module", "bazel_dep", "use_extension", "use_repo")
    return [kwargs for name, _, kwargs in _evaluate("MODULE.bazel", names) if name == function]


def test_every_package_that_build_names_is_locked():
    (hub,) = _module_calls("use_extension.parse")
    locked = _pinned(hub["requirements_lock"].removeprefix("//:"))
    named = {label for rule in _rules().values() for label in rule.deps if label[0] == "@"}
    assert hub["hub_name"] == "pypi"
    assert {label.removeprefix("@pypi//") for label in named} <= locked


def test_every_requirement_is_locked():
    assert _pinned("requirements.txt") <= _pinned("requirements_lock.txt")


def test_every_dependency_of_the_project_is_a_requirement():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    needed = {re.match(r"[\w.-]+", line)[0].lower().replace("-", "_") for line in lines}
    assert needed == _pinned("requirements.txt")


def test_every_imported_package_is_a_dependency_of_the_project():
    imported = {label for label in _labels(SOURCES, 0) if label.startswith("@")}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needed = {re.match(r"[\w.-]+", line)[0].replace("-", "_") for line in project["dependencies"]}
    through_keras = {"tensorboard"}  # keras.callbacks.TensorBoard imports it
    assert {label.removeprefix("@pypi//") for label in imported} | through_keras == needed


def test_the_toolchain_is_the_python_of_the_project():
    (toolchain,) = _module_calls("use_extension.toolchain")
    (hub,) = _module_calls("use_extension.parse")
    assert toolchain["python_version"] == hub["python_version"] == "3.11"


def test_files_beside_the_sources_are_the_data_of_a_rule():
    build = (ROOT / "BUILD").read_text(encoding="utf-8")
    packages = [ROOT / package for package in ("tfmeta", "tflite_bench", "tests")]
    found = [path.relative_to(ROOT) for package in packages for path in package.rglob("*.*") if path.is_file()]
    patterns = {f"{path.parent}/*{path.suffix}" for path in found if path.suffix not in ("", ".py", ".pyc")}
    assert "tfmeta/report/*.html" in patterns
    missing = sorted(pattern for pattern in patterns if f'"{pattern}"' not in build)
    assert not missing, f"BUILD lacks these in the data of the rule whose code reads them: {', '.join(missing)}."
