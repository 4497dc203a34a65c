"""Stage 2: searches structures within a budget, and the controls they are held against."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from tfmeta import files
from tfmeta import search as search_package
from tfmeta.errors import UserError
from tfmeta.graph.structure import Structure
from tfmeta.latency.options import HOST, MEASURED, LatencyOptions, LatencySource, Place
from tfmeta.latency.source import Asked, Opened, open_source, read_table
from tfmeta.latency.staircase import check_step
from tfmeta.objectives import CLOSED_FORM, OBJECTIVES, Constraint
from tfmeta.project import Project
from tfmeta.registry import resolve
from tfmeta.search.genetic import GeneticOptions
from tfmeta.search.random import RandomOptions
from tfmeta.search.types import SearchResult
from tfmeta.stages.limits import Limit, constraints
from tfmeta.store import Store
from tfmeta.trial import Trial
from tfmeta.workdir import MAIN

ROWS = ("searched", "random", "uniform", "full")

_KEYS = ("metric", "budget", "evaluations", "structures", "pareto", "missing", "note")  # of a result file


@dataclass(frozen=True)
class SearchOptions:
    """How to search.

    Attributes:
        limits: the budget, as typed.
        searcher: a name in `tfmeta.search.SEARCHERS`.
        generations: how many times to propose and evaluate.
        population: structures a generation.
        calibration_images: training images for the batch-norm statistics of each structure.
        place: where latency is measured; used when a limit is on latency.
        latency: how it is measured.
        source: whether it is measured or predicted.
        seed: of the search.
        name: name of the result, to keep several searches in one work directory.
    """

    limits: tuple[Limit, ...] = (Limit("macs", upper="0.5x"),)
    searcher: str = "genetic"
    generations: int = 20
    population: int = 50
    calibration_images: int = 2000
    place: Place = HOST
    latency: LatencyOptions = field(default_factory=LatencyOptions)
    source: LatencySource = MEASURED
    seed: int = 0
    name: str = MAIN

    def to_json(self) -> dict[str, Any]:
        """Returns what the result depends on, as plain data."""
        return {**asdict(self), "place": self.place.to_json()}


def search(project: Project, options: SearchOptions) -> dict[str, Any]:
    """Searches, writes ``searches/NAME.json`` and returns what it holds.

    Returns:
        `budget` in words, `structures` (row name → widths and values, on the search split), `pareto`,
        `settled` (structures that a hybrid search had only predicted, and measured at its end), `missing`
        (control → why it is not there), `note` and, where a limit is on latency, `latency` (where it comes from).
        What is called latency was measured; a prediction is called `predicted_latency_ms`.

    Raises:
        BudgetError: no structure meets the limits.
        UserError: a limit that cannot be understood.
    """
    workdir, path = project.workdir, project.workdir.search(options.name)
    section = f"search {options.name}"
    claim = functools.partial(
        workdir.claim,
        section,
        _claimed(options, workdir.config.get(section), finished=path.exists()),
        instead="give another --name to this search",
    )
    if path.exists():
        claim(begun=True)
        return result(project, options.name)
    check(project, options)
    closed, full = _closed(project), project.space.full()
    costs, on_latency = _values(closed, full), _on_latency(options)
    net = project.net
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(Store(workdir.store))
        claim(begun=options.name in store.runs)
        objectives = _objectives(project, options, closed)
        latency = None
        if on_latency:
            latency = stack.enter_context(open_source(options.source, _asked(project, options, store)))
            check_step(project.options.step_device, latency.device)
            objectives.append(latency.objective)
            if any(True in limit.is_share for limit in on_latency):
                costs["latency"] = latency.objective.baseline_ms
        limits = constraints(options.limits, costs)
        answer = search_package.search(
            net,
            space=project.space,
            searcher=options.searcher,
            options=_searcher_options(options),
            objectives=objectives,
            constraints=[_on(limit, latency) for limit in limits],
            store=store,
            run=options.name,
            generations=options.generations,
            seed=options.seed,
            depends_on=_depends_on(project, options, objectives),
            controls=("random", "uniform"),
        )
        rows = _rows(answer, full, objectives, latency)
        about = {} if latency is None else {"latency": {**latency.about, **_counts(store, options.name, latency)}}
    budget = _budget_text(limits, costs)
    found = {
        "metric": project.splits.task.metric,
        "budget": budget if latency is None or latency.measures else f"{budget}, predicted and not measured",
        "evaluations": len(answer.trials),
        "structures": rows,
        "pareto": [_entry(trial.structure, trial.values, latency) for trial in answer.pareto],
        "settled": [
            {**_entry(trial.structure, trial.values, latency), "feasible": trial.feasible} for trial in answer.settled
        ],
        "missing": dict(answer.missing),
        "note": answer.note,
        **about,
    }
    files.write_json(path, found)
    return found


def check(project: Project, options: SearchOptions) -> None:
    """Refuses a search that cannot be, as far as neither a trained network nor the device is needed to tell.

    Raises:
        BudgetError: no structure meets the limits.
        UserError: a limit that cannot be understood, or a table that cannot be used.
    """
    closed, on_latency = _closed(project), _on_latency(options)
    # What the full network takes, the device tells later: whether a share of it and an amount go together, too.
    told = [part for limit in options.limits for part in (limit.sides if len(limit.is_share) > 1 else [limit])]
    limits = constraints(told, {**_values(closed, project.space.full()), "latency": 1.0})
    if not limits and not on_latency:
        raise UserError("A search needs a budget, for example --max_macs=0.5x or --max_latency_ms=12.")
    if options.source != MEASURED and not on_latency:
        raise UserError(f"--latency={options.source.how} needs a limit on latency, for example --max_latency_ms=12.")
    project.space.check_reachable([c.bound(closed[c.objective]) for c in limits if c.objective in closed])
    read_table(options.source, project.graph, options.latency, project.workdir.latency_table)


def result(project: Project, name: str) -> dict[str, Any]:
    """Returns what a finished search wrote, see `search`.

    Raises:
        WorkdirError: the search is not done, or its file is damaged.
    """
    return project.workdir.read_json(project.workdir.search(name), "search", _KEYS)


def structures(project: Project, name: str) -> dict[str, Structure]:
    """Returns the structures of a finished search: row name ("searched", ...) to structure.

    Raises:
        WorkdirError: the search is not done.
    """
    return {row: Structure(tuple(entry["widths"])) for row, entry in result(project, name)["structures"].items()}


def _closed(project: Project) -> dict[str, Any]:
    return {name: resolve(OBJECTIVES, name, "objective")(project.graph) for name in CLOSED_FORM}


def _values(objectives: Mapping[str, Any], structure: Structure) -> dict[str, float]:
    return {name: float(objective([structure])[0]) for name, objective in objectives.items()}


def _objectives(project: Project, options: SearchOptions, closed: Mapping[str, Any]) -> list[Any]:
    accuracy = resolve(OBJECTIVES, "accuracy", "objective")(
        project.net, project.splits, calibration_images=options.calibration_images, seed=project.options.seed
    )
    return [accuracy, *closed.values()]


def _asked(project: Project, options: SearchOptions, store: Store) -> Asked:
    return Asked(
        project.graph,
        project.space,
        options.place,
        options.latency,
        project.workdir.path / "latency",
        store,
        own_table=project.workdir.latency_table,
        seed=project.options.seed,
    )


def _on_latency(options: SearchOptions) -> list[Limit]:
    return [limit for limit in options.limits if limit.objective == "latency" and limit.is_share]


def _on(limit: Constraint, latency: Opened | None) -> Constraint:
    """A limit on latency as one on the objective that stands for it."""
    stands_for_it = latency is not None and limit.objective == "latency"
    return replace(limit, objective=latency.objective.name) if stands_for_it else limit


def _counts(store: Store, name: str, latency: Opened) -> dict[str, int]:
    """How many structures of a search and its controls were measured, and how many were only predicted."""
    trials = [trial for run in store.runs if run.split(":")[0] == name for trial in store.trials(run)]
    measured = latency.measured | {trial.structure for trial in trials if "latency" in trial.values}
    return {
        "measured": len(measured),
        "to_begin_with": len(latency.begun_with),
        "not_measured": len({trial.structure for trial in trials} - measured),
    }


def _claimed(options: SearchOptions, begun: Any, *, finished: bool) -> dict[str, Any]:
    """The options that bind a search; until it is finished, any device like the one it began on may go on with it.

    The same phone has another name on another cable or network, and a pool of such phones does as well. Whether it is
    one of the same model, the store checks by its fingerprint.
    """
    values = options.to_json()
    place = begun.get("place") if isinstance(begun, dict) else None
    began = place.get("device") if isinstance(place, dict) else None
    if not finished and isinstance(began, str) and began.split(":")[0] == options.place.device.split(":")[0]:
        values["place"]["device"] = began
    return values


def _searcher_options(options: SearchOptions) -> Any:
    if options.searcher == "genetic":
        half = options.population // 2  # the paper's shares: half mutations, half crossovers
        parents = max(2, options.population // 5)
        return GeneticOptions(options.population, parents, half, options.population - half)
    if options.searcher == "random":
        return RandomOptions(options.population)
    return None


def _depends_on(project: Project, options: SearchOptions, objectives: Sequence[Any]) -> dict[str, Any]:
    """What the values depend on besides the structure; a run is not resumed under anything else."""
    checkpoint = files.sha256(project.workdir.checkpoint("pruning_net"))
    measured = {objective.name: objective.identity for objective in objectives if hasattr(objective, "identity")}
    return {"checkpoint": checkpoint, "calibration_images": options.calibration_images, **measured}


def _rows(result: SearchResult, full: Structure, objectives: Sequence[Any], latency: Opened | None) -> dict[str, Any]:
    trials: dict[str, Trial] = {"searched": result.best, **result.controls}
    rows = {name: _entry(trials[name].structure, trials[name].values, latency) for name in ROWS if name in trials}
    rows["full"] = _entry(full, {objective.name: float(objective([full])[0]) for objective in objectives}, latency)
    return rows


def _entry(structure: Structure, values: Mapping[str, float], latency: Opened | None) -> dict[str, Any]:
    told = {} if latency is None else latency.told(structure)
    both = {**values, **told}
    return {"widths": list(structure.widths), "values": {name: float(value) for name, value in both.items()}}


def _budget_text(limits: Sequence[Constraint], full: Mapping[str, float]) -> str:
    texts = []
    for limit in limits:
        unit = {"macs": "MACs", "params": "parameters", "size": "bytes of weights", "latency": "ms"}[limit.objective]
        for word, value in (("at least", limit.lower), ("at most", limit.upper)):
            if value is not None:
                of_full = full.get(limit.objective)
                share = f" ({value / of_full:.2f} of the full network)" if of_full else ""
                texts.append(
                    f"{word} {value:,.0f} {unit}{share}" if value >= 100 else f"{word} {value:g} {unit}{share}"
                )
    return ", ".join(texts)
