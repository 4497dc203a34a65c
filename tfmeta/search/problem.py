"""What is searched for: a space, objectives and constraints; and how one structure is evaluated."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from tfmeta import objectives as known_objectives
from tfmeta.errors import UserError
from tfmeta.graph.channel_graph import ChannelGraph
from tfmeta.graph.space import SearchSpace
from tfmeta.graph.structure import Bound, Structure
from tfmeta.objectives import ClosedForm, Constraint, Estimated, Objective, Prepared, Revised, predicted_name
from tfmeta.registry import resolve
from tfmeta.trial import Trial

PROBE_GENERATION = -1
# Relative; the same values give estimates that differ by less, on whatever machine.
_SAME_ESTIMATE = 1e-6


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

    def prepare(self, structures: Sequence[Structure], *, thorough: bool = False) -> None:
        """Lets the objectives that can do so begin with ``structures``, which are going to be evaluated in turn.

        Unless ``thorough``, what an estimate stands for may not be evaluated at all, and is not begun.
        """
        put_off = [set() if thorough else self._estimates(structure)[1] for structure in structures]
        for objective in self.columns:
            if isinstance(objective, Prepared):
                pairs = zip(structures, put_off, strict=True)
                objective.prepare([one for one, names in pairs if objective.name not in names])

    def learn(self, trials: Sequence[Trial]) -> None:
        """Bases the estimates of objectives that make some on the values in ``trials``."""
        for objective in self.columns:
            if isinstance(objective, Estimated):
                known = [trial for trial in trials if objective.name in trial.values]
                objective.learn([one.structure for one in known], [one.values[objective.name] for one in known])

    def evaluate(
        self,
        structure: Structure,
        generation: int,
        position: int,
        *,
        thorough: bool = False,
        put_off: bool = True,
        best: Trial | None = None,
        known: Mapping[str, float] = MappingProxyType({}),
    ) -> Trial:
        """Returns the trial of ``structure``.

        Closed-form and constrained objectives come first. The others (accuracy) cost far more and
        are skipped where a constraint is already missed, unless ``thorough``. An estimate that
        meets the constraints on an objective, or misses one beyond doubt, stands for the value,
        unless the structure would take the place of ``best`` (see `settling` for the front);
        without ``put_off`` no estimate does. ``known`` are values that are not to be found again.
        """
        told, later = ({}, set()) if thorough else self._estimates(structure)
        later = later if put_off else set()
        limited = {objective.name for _, objective in self.limited}
        columns = [o for o in self.columns if o.name not in later]
        first = [o for o in columns if o.closed_form or o.name in limited]
        values, bad = _values(first, structure, known)
        violation = self._violation(values | told)
        rest = [o for o in columns if o not in first]
        notes = []
        if rest and not bad:
            if violation and not thorough:
                notes.append(f"{', '.join(o.name for o in rest)} skipped: {self.missed(values | told)}")
            else:
                more, bad = _values(rest, structure, known)
                values |= more
        if later and not bad and not violation and self._would_win(values, best):
            more, bad = _values([o for o in self.columns if o.name in later], structure, known)
            values, later = values | more, set()
            violation = self._violation(values | told)
        notes += [f"{name} is not a finite number" for name in bad]
        fitness = None if bad else self._fitness(values)
        failed, note = bool(bad), "; ".join(notes)
        return Trial(structure, generation, position, values | told, fitness, violation, failed, note, bool(later))

    def complete(self, trial: Trial) -> Trial:
        """Returns a trial with values where it had estimates."""
        more, bad = _values([o for o in self.columns if o.name not in trial.values], trial.structure)
        values = {**trial.values, **more}
        note = f"{bad[0]} is not a finite number" if bad else trial.note
        violation = self._violation(values)
        return replace(trial, values=values, violation=violation, failed=bool(bad), note=note, estimated=False)

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
                f"{bad[0]} of the structure with widths {structure.widths} is not a finite number, so nothing can be "
                "searched under a constraint on it. Check how it is measured."
            )
        return Trial(structure, PROBE_GENERATION, position, values, note="probe")

    def outdated(self, trial: Trial) -> bool:
        """Whether an objective takes back what it answered for the trial."""
        return bool(self._taken_back(trial))

    def _taken_back(self, trial: Trial) -> set[str]:
        return {
            objective.name
            for objective in self.columns
            if isinstance(objective, Revised)
            and objective.name in trial.values
            and objective.outdated(trial.structure, trial.values[objective.name])
        }

    def again(self, trial: Trial, *, thorough: bool = False) -> Trial:
        """Returns the trial with anew what was taken back, whatever is expected; ``thorough`` as for `evaluate`."""
        if trial.generation == PROBE_GENERATION:
            return self.probe(trial.structure, trial.position)
        taken_back = self._taken_back(trial)
        known = {name: value for name, value in trial.values.items() if name not in taken_back}
        place = trial.structure, trial.generation, trial.position
        return self.evaluate(*place, thorough=thorough, put_off=False, known=known)

    def estimated_anew(self, trial: Trial) -> Trial:
        """Returns the trial with what is estimated of it now beside the values that it has."""
        return replace(trial, values={**trial.values, **self._estimates(trial.structure)[0]})

    def estimates_otherwise(self, trial: Trial) -> bool:
        """Whether what is estimated of the trial now is not what it tells."""
        told = self._estimates(trial.structure)[0]
        known = [trial.values.get(name, math.nan) for name in told]
        return not np.allclose(list(told.values()), known, rtol=_SAME_ESTIMATE, atol=0.0)

    def _fitness(self, values: dict[str, float]) -> float | None:
        objective = self.objectives[0]
        value = values.get(objective.name)
        if value is None:
            return None
        return -value if objective.minimize else value

    def missed(self, values: Mapping[str, float]) -> str:
        """Returns what constraints the values of a trial miss: "latency of 7.1 ms is above 5 ms"."""
        known = [(c, o, told_value(values, o)) for c, o in self.limited]
        return " and ".join(_missed(c, o, *found) for c, o, found in known if found and c.violation(found[1]))

    def _violation(self, values: Mapping[str, float]) -> float:
        known = [(c, told_value(values, o)) for c, o in self.limited]
        return float(sum(constraint.violation(found[1]) for constraint, found in known if found))

    def _estimates(self, structure: Structure) -> tuple[dict[str, float], set[str]]:
        """What is told of estimates, and the objectives by name that are put off: no constraint on them is in doubt."""
        told: dict[str, float] = {}
        put_off: set[str] = set()
        for objective in self.columns:
            if isinstance(objective, Estimated):
                (estimate,) = objective.estimate([structure])
                told |= estimate.values(objective.name, objective.unit)
                if not any(c.in_doubt(estimate) for c, o in self.limited if o.name == objective.name):
                    put_off.add(objective.name)
        return told, put_off

    def _would_win(self, values: dict[str, float], best: Trial | None) -> bool:
        fitness = self._fitness(values)
        if best is None or best.fitness is None or fitness is None:  # the fitness itself may be put off
            return True
        return fitness > best.fitness


def told_value(values: Mapping[str, float], objective: Objective) -> tuple[str, float] | None:
    """Returns what an objective's value is called and what it is, or what is expected of it, or None."""
    if objective.name in values:
        return objective.name, values[objective.name]
    name = predicted_name(objective.name, objective.unit)
    return (f"predicted {objective.name}", values[name]) if name in values else None


def _missed(constraint: Constraint, objective: Objective, name: str, value: float) -> str:
    above = constraint.upper is not None and value > constraint.upper
    limit = constraint.upper if above else constraint.lower
    unit = f" {objective.unit}" if objective.unit else ""
    side = "above" if above else "below"
    return f"{name} of {value:.6g}{unit} is {side} {limit:.6g}{unit}"


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


def _values(
    objectives: Sequence[Objective], structure: Structure, known: Mapping[str, float] = MappingProxyType({})
) -> tuple[dict[str, float], list[str]]:
    """Finite values by name, and the names of the objectives (at most one) that gave another."""
    values: dict[str, float] = {}
    for objective in objectives:
        if objective.name in known:
            values[objective.name] = known[objective.name]
            continue
        answer = np.asarray(objective([structure]), float)
        if answer.shape != (1,):
            raise ValueError(
                f"Expected one value a structure of the objective {objective.name!r}, received the shape "
                f"{answer.shape} for one structure."
            )
        value = float(answer[0])
        if not math.isfinite(value):
            return values, [objective.name]
        values[objective.name] = value
    return values, []
