"""`tfmeta.search`: from a net, objectives and constraints to the best structures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from tfmeta import objectives as known_objectives
from tfmeta import search as package
from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.objectives import Constraint, Objective
from tfmeta.registry import resolve
from tfmeta.search.controls import add_controls
from tfmeta.search.loop import Run, generator, opened
from tfmeta.search.problem import Problem
from tfmeta.search.types import Searcher, SearchResult
from tfmeta.store import Store


def search(
    net: Any = None,
    splits: Any = None,
    *,
    space: SearchSpace | None = None,
    graph: ChannelGraph | None = None,
    searcher: str | Searcher = "genetic",
    options: Any = None,
    objectives: Sequence[Objective | str] = (),
    constraints: Sequence[Constraint] = (),
    store: str | os.PathLike[str] | Store | None = None,
    run: str | None = None,
    generations: int = 20,
    seed: int = 0,
    depends_on: Mapping[str, Any] | None = None,
    controls: Sequence[str] = (),
) -> SearchResult:
    """Returns the best structures of a space, searched under constraints and remembered in a store.

    The same call again, after a kill or with more generations, goes on where the store ends and
    gives what an uninterrupted search would have given.

    Args:
        net: a trained `PruningNet`; needed only for the default objective and as the source of the
            graph.
        splits: the data; needed only for the default objective.
        space: where to look; by default the default space of the graph.
        graph: channel graph for closed-form objectives; by default the net's.
        searcher: a name in `SEARCHERS`, or a fresh searcher of ``space``.
        options: options of the named searcher (`Genetic.Options`); its defaults where None.
        objectives: objectives, or names of closed-form ones. The first one decides; the others are
            recorded and enter the Pareto front. By default the accuracy of ``net`` on the search
            split.
        constraints: limits on objectives in ``objectives``, or on closed-form ones by name.
        store: path of the store or an open one; None remembers nothing.
        run: name of the run in the store; by default the searcher's.
        generations: how many times to ask, evaluate and tell.
        seed: of a named searcher. The same seed gives the same search.
        depends_on: whatever else the values depend on (hash of the checkpoint, options of the
            evaluation), JSON-able; a run is not resumed under another one.
        controls: "random" (as many random structures) and "uniform" (one width multiplier) to
            evaluate beside.

    Raises:
        BudgetError: no structure can meet, or none met, the constraints; the text tells the
            closest.
        StoreError: the store is damaged, full, or belongs to another search.
        UserError: the arguments do not go together, or every structure failed.

    Example:
        >>> from tfmeta.graph.space import Gene, SearchSpace
        >>> from tfmeta.search import search
        >>> class Narrowness:
        ...     name, unit, minimize, closed_form = "narrowness", "", False, False
        ...     def __call__(self, structures):
        ...         return [-sum(s.widths) for s in structures]
        >>> space = SearchSpace(("a",), (3,), (Gene((0,), ((1,), (2,), (3,))),))
        >>> search(space=space, objectives=[Narrowness()], generations=1).best.structure
        Structure(widths=(1,))
    """
    graph = graph if graph is not None or net is None else net.graph
    space = space or _default_space(graph)
    problem = Problem.create(space, objectives or [_accuracy(net, splits)], constraints, graph)
    chosen, extra = _searcher(searcher, space, options, seed)
    extra["depends_on"] = dict(depends_on or {})
    with opened(store) as opened_store:
        opened_store.claim({"graph": graph.fingerprint if graph is not None else None, "space": space.to_json()})
        named = Run(problem, chosen, opened_store, run or chosen.name, extra)
        result = named.execute(generations)
        return add_controls(result, named, controls, generations, seed, prefix=run)


def _default_space(graph: ChannelGraph | None) -> SearchSpace:
    if graph is None:
        raise UserError("Expected a space, a graph or a net to search in, received none of them.")
    return SearchSpace.from_graph(graph)


def _accuracy(net: Any, splits: Any) -> Objective:
    if net is None or splits is None:
        raise UserError("Expected objectives, or a net and splits whose accuracy is the objective.")
    objective: Objective = resolve(known_objectives.OBJECTIVES, "accuracy", "objective")(net, splits)
    return objective


def _searcher(searcher: str | Searcher, space: SearchSpace, options: Any, seed: int) -> tuple[Searcher, dict[str, Any]]:
    if not isinstance(searcher, str):
        if options is not None:
            raise UserError("Options belong to a searcher given by name; this one is made already.")
        return searcher, {"seed": None}
    kind = resolve(package.SEARCHERS, searcher, "searcher")
    if options is not None and not isinstance(options, kind.Options):
        raise UserError(f"Expected {kind.Options.__name__} for the searcher {searcher!r}, received {options!r}.")
    return kind(space, generator(seed), options), {"seed": seed}
