"""What is searched for: a space, objectives and constraints; and how one structure is evaluated."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tfmeta import objectives as known_objectives
from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Bound, Structure
from tfmeta.objectives import ClosedForm, Constraint, Objective, Prepared, Revised
from tfmeta.registry import resolve
from tfmeta.trial import Trial

PROBE_GENERATION = -1


@dataclass(frozen=True)
class Problem:
    """The question that a search answers.

    Attributes:
        space: the structures to choose from.
        objectives: what is evaluated; the first one is the fitness.
        limited: every constraint with its objective, which need not be among `objectives`.
        macs: the closed-form cost that stands for measured ones, or None when nothing measured is
            constrained.
    """

    space: SearchSpace
    objectives: tuple[Objective, ...]
    limited: tuple[tuple[Constraint, Objective], ...] = ()
    macs: ClosedForm | None = None

    @classmethod
    def create(
        cls,
        space: SearchSpace,
        objectives: Sequence[Objective | str],
        constraints: Sequence[Constraint] = (),
        graph: ChannelGraph | None = None,
    ) -> Problem:
        """Returns the problem; names of closed-form objectives become objectives of ``graph``.

        Raises:
            UserError: no objective, two of one name, a name that is unknown or needs a graph that
                is not given.
        """
        chosen = tuple(_closed_form(o, graph) if isinstance(o, str) else o for o in objectives)
        by_name = {objective.name: objective for objective in chosen}
        if not chosen or len(by_name) < len(chosen):
            names = [objective.name for objective in chosen]
            raise UserError(f"Expected one objective or more with different names, received {names}.")
        limited = tuple(
            (
                constraint,
                by_name.get(constraint.objective) or _closed_form(constraint.objective, graph),
            )
            for constraint in constraints
        )
        macs = None
        if any(_is_measured_cost(objective) for _, objective in limited):
            stated = by_name.get("macs") or _closed_form("macs", graph)
            if not isinstance(stated, ClosedForm):
                raise UserError(
                    "A constraint on a measured cost needs an objective 'macs' that is closed-form, "
                    f"received {stated!r}."
                )
            macs = stated
        problem = cls(space, chosen, limited, macs)
        space.check_reachable(problem.bounds)
        return problem

    @property
    def bounds(self) -> tuple[Bound, ...]:
        """The constraints that are closed-form."""
        return tuple(
            constraint.bound(objective)
            for constraint, objective in self.limited
            if objective.closed_form and isinstance(objective, ClosedForm)
        )

    @property
    def measured(self) -> tuple[tuple[Constraint, Objective], ...]:
        """The constraints on costs that only a measurement tells."""
        return tuple(pair for pair in self.limited if _is_measured_cost(pair[1]))

    @property
    def columns(self) -> tuple[Objective, ...]:
        """The objectives and the constrained ones, each once."""
        found = {objective.name: objective for objective in self.objectives}
        found.update((objective.name, objective) for _, objective in self.limited)
        return tuple(found.values())

    def to_json(self) -> dict[str, Any]:
        """Returns what makes trials of two problems comparable, as JSON-able data."""
        return {
            "objectives": [{"name": o.name, "unit": o.unit, "minimize": o.minimize} for o in self.objectives],
            "constraints": [constraint.to_json() for constraint, _ in self.limited],
        }

    def prepare(self, structures: Sequence[Structure]) -> None:
        """Lets the objectives that can do so begin with ``structures``, which are going to be evaluated in turn."""
        for objective in self.columns:
            if isinstance(objective, Prepared):
                objective.prepare(structures)

    def evaluate(self, structure: Structure, generation: int, position: int, *, thorough: bool = False) -> Trial:
        """Returns the trial of ``structure``.

        Closed-form and constrained objectives come first. The others (accuracy) cost far more and
        are skipped where a constraint is already missed, unless ``thorough``.
        """
        limited = {objective.name for _, objective in self.limited}
        first = [o for o in self.columns if o.closed_form or o.name in limited]
        values, bad = _values(first, structure)
        violation = self._violation(values)
        rest = [o for o in self.columns if o not in first]
        notes = [f"{name} is not a finite number" for name in bad]
        if rest and not bad:
            if violation and not thorough:
                notes.append(f"{', '.join(o.name for o in rest)} skipped: {self._missed(values)}")
            else:
                more, bad = _values(rest, structure)
                values |= more
                notes += [f"{name} is not a finite number" for name in bad]
        fitness = None if bad else self._fitness(values)
        return Trial(structure, generation, position, values, fitness, violation, bool(bad), "; ".join(notes))

    def probe(self, structure: Structure, position: int) -> Trial:
        """Returns a trial before the first generation: only MACs and the measured costs that are
        constrained.

        Raises:
            UserError: a cost is not a finite number.
        """
        costs = [objective for _, objective in self.measured]
        values, bad = _values(costs, structure)
        if bad:
            raise UserError(
                f"{bad[0]} of the structure with widths {structure.widths} is not a finite "
                "number, so nothing can be "
                "searched under a constraint on it. Check how it is measured."
            )
        return Trial(structure, PROBE_GENERATION, position, values, note="probe")

    def outdated(self, trial: Trial) -> bool:
        """Whether an objective takes back what it answered for the trial."""
        return any(
            objective.outdated(trial.structure, trial.values[objective.name])
            for objective in self.columns
            if isinstance(objective, Revised) and objective.name in trial.values
        )

    def again(self, trial: Trial, *, thorough: bool = False) -> Trial:
        """Returns the trial evaluated anew, with ``thorough`` as for `evaluate`."""
        if trial.generation == PROBE_GENERATION:
            return self.probe(trial.structure, trial.position)
        return self.evaluate(trial.structure, trial.generation, trial.position, thorough=thorough)

    def _fitness(self, values: dict[str, float]) -> float | None:
        objective = self.objectives[0]
        value = values.get(objective.name)
        if value is None:
            return None
        return -value if objective.minimize else value

    def _violation(self, values: dict[str, float]) -> float:
        known = [(c, values[o.name]) for c, o in self.limited if o.name in values]
        return float(sum(constraint.violation(value) for constraint, value in known))

    def _missed(self, values: dict[str, float]) -> str:
        texts = [describe(c, o, values[o.name]) for c, o in self.limited if c.violation(values[o.name])]
        return " and ".join(texts)


def describe(constraint: Constraint, objective: Objective, value: float) -> str:
    """Returns "latency of 7.1 ms is above 5 ms"."""
    above = constraint.upper is not None and value > constraint.upper
    limit = constraint.upper if above else constraint.lower
    unit = f" {objective.unit}" if objective.unit else ""
    side = "above" if above else "below"
    return f"{objective.name} of {value:.6g}{unit} is {side} {limit:.6g}{unit}"


def _is_measured_cost(objective: Objective) -> bool:
    # A measured value that is to grow (accuracy) does not follow the MACs closely enough to be
    # steered by them.
    return objective.minimize and not objective.closed_form


def _closed_form(name: str, graph: ChannelGraph | None) -> Objective:
    if name not in known_objectives.CLOSED_FORM:
        raise UserError(
            f"Expected {name!r} to be the name of a given objective or one of "
            f"{', '.join(known_objectives.CLOSED_FORM)}. Add the objective to `objectives`."
        )
    if graph is None:
        raise UserError(f"The objective {name!r} needs a channel graph. Give `graph` or a net.")
    objective: Objective = resolve(known_objectives.OBJECTIVES, name, "objective")(graph)
    return objective


def _values(objectives: Sequence[Objective], structure: Structure) -> tuple[dict[str, float], list[str]]:
    """Finite values by name, and the names of the objectives (at most one) that gave another."""
    values: dict[str, float] = {}
    for objective in objectives:
        answer = np.asarray(objective([structure]), float)
        if answer.shape != (1,):
            raise ValueError(
                f"Expected one value a structure of the objective {objective.name!r}, received "
                "the shape "
                f"{answer.shape} for one structure."
            )
        value = float(answer[0])
        if not math.isfinite(value):
            return values, [objective.name]
        values[objective.name] = value
    return values, []
