"""The only search loop: ask, evaluate, store, tell.

Every trial is stored before the next one is evaluated, and the searcher's state in one step with
the end of its generation. A killed search therefore goes on with the structure it was at: the
searcher is put back to the start of the generation, proposes the same structures again, and those
that have a stored trial are not evaluated twice, unless an objective takes its value back.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from tqdm import tqdm

from tfmeta.errors import StoreError, UserError
from tfmeta.graph.structure import Structure
from tfmeta.progress import meter
from tfmeta.search import outcome, settling, steering
from tfmeta.search.problem import PROBE_GENERATION, Problem
from tfmeta.search.types import Searcher, SearchResult
from tfmeta.store import Store
from tfmeta.trial import Trial


@dataclass(frozen=True)
class Run:
    """A search in a store.

    Attributes:
        problem: what is searched for.
        searcher: who proposes; fresh, it is put to the stored state.
        store: where everything is remembered.
        name: name of the run in the store.
        configuration: what a later call must share to resume the run, beside problem and searcher.
    """

    problem: Problem
    searcher: Searcher
    store: Store
    name: str
    configuration: Mapping[str, Any]

    def execute(self, generations: int) -> SearchResult:
        """Returns the result after ``generations``, of which those in the store are not repeated.

        Raises:
            BudgetError: nothing can meet, or nothing met, the constraints.
            StoreError: the store holds another search under this name, or cannot be written.
            UserError: every structure failed.
        """
        if generations < 1:
            raise UserError(f"Expected generations >= 1, received {generations}.")
        searcher, store = self.searcher, self.store
        store.begin_run(self.name, self._identity(), searcher.state)
        done, state = store.state(self.name)
        searcher.restore(state)
        trials = [t for t in self._up_to_date(done) if t.generation < generations]
        probes = self._probe([t for t in trials if t.generation == PROBE_GENERATION])
        trials = [t for t in trials if t.generation != PROBE_GENERATION]
        kept = [t for t in trials if t.generation < done]
        note = ""
        with meter(
            f"search ({self.name})", total=generations * searcher.batch, initial=len(trials), unit="structure"
        ) as display:
            for generation in range(done, generations):
                outcome.check_not_all_failed(kept)
                self.problem.learn([*probes, *kept])
                searcher.constrain(steering.bounds(self.problem, [*probes, *kept]))
                asked = searcher.ask(searcher.batch)
                if not asked:
                    note = (
                        f"Stopped after {generation} of {generations} generations and {len(kept)} "
                        "structures: no "
                        "new structure was found within the constraints."
                    )
                    break
                stored = [t for t in trials if t.generation == generation]
                kept += self._evaluate(asked, stored, generation, kept, display)
                searcher.tell(kept[-len(asked) :])
                store.finish_generation(self.name, generation + 1, searcher.state)
        found = settling.settle(self.problem, kept)
        bounds = steering.bounds(self.problem, [*probes, *found])
        pairs = zip(kept, found, strict=True)
        settled = tuple(now for before, now in pairs if before.estimated and not now.estimated and not now.failed)
        return replace(outcome.result_of(self.problem, found, bounds, note), settled=settled)

    def _identity(self) -> dict[str, Any]:
        start = json.dumps(self.searcher.state, sort_keys=True).encode()
        return {
            "searcher": self.searcher.name,
            "options": dict(self.searcher.options),
            "start": hashlib.sha256(start).hexdigest()[:16],
            **self.problem.to_json(),
            **self.configuration,
        }

    def _up_to_date(self, done: int) -> list[Trial]:
        """Returns the stored trials; where an objective takes values back, these are evaluated again.

        What was estimated from such values is estimated again. What the searcher proposed in an unfinished generation
        may hang on them as well, so that generation begins anew.
        """
        trials = self.store.trials(self.name)
        outdated = [trial for trial in trials if self.problem.outdated(trial)]
        if not outdated and not self._begun_otherwise(trials):
            return trials
        self.problem.prepare([trial.structure for trial in outdated], thorough=True)
        found: list[Trial] = []
        for trial in (trial for trial in trials if trial.generation < done):
            if found and trial.position == 0:
                self.problem.learn(found)
            if trial in outdated:
                trial = self.problem.again(trial)
            elif trial.estimated:
                best = outcome.best_of(found)
                place = trial.structure, trial.generation, trial.position
                trial = self.problem.evaluate(*place, best=best, known=trial.values)
            elif trial.generation != PROBE_GENERATION:
                trial = self.problem.estimated_anew(trial)
            found.append(trial)
        self.searcher.tell([trial for trial in found if trial.generation != PROBE_GENERATION])
        self.store.revise(self.name, done, found, self.searcher.state)
        return found

    def _begun_otherwise(self, trials: Sequence[Trial]) -> bool:
        """Whether the first generation was estimated from other values than it would be now.

        What an objective begins with is in no trial: where that was taken back, only estimates tell.
        """
        first = [trial for trial in trials if trial.generation == 0]
        if first:
            self.problem.learn([trial for trial in trials if trial.generation == PROBE_GENERATION])
        return any(self.problem.estimates_otherwise(trial) for trial in first)

    def _probe(self, stored: Sequence[Trial]) -> list[Trial]:
        """Measures the extremes before anything is searched, unless they are stored."""
        found = list(stored)
        wanted = steering.probes(self.problem)
        self.problem.prepare(wanted[len(found) :], thorough=True)
        for position, structure in enumerate(wanted):
            if position >= len(found):
                found.append(self.problem.probe(structure, position))
                self.store.add_trial(self.name, found[-1])
            steering.check_measured(self.problem, found[position])
        return found

    def _evaluate(
        self,
        asked: Sequence[Structure],
        stored: Sequence[Trial],
        generation: int,
        kept: Sequence[Trial],
        display: tqdm[Any],
    ) -> list[Trial]:
        """Returns a trial for every structure asked for, from ``stored`` as far as those go; ``kept`` came before."""
        if [trial.structure for trial in stored] != list(asked[: len(stored)]):
            raise StoreError(
                f"The stored trials of generation {generation} of the run {self.name!r} are not "
                "what the searcher "
                "proposes now; it was written with other versions of the packages. Start a new run."
            )
        brood = list(stored)
        best = outcome.best_of([*kept, *brood])
        self.problem.prepare(asked[len(stored) :])
        for position in range(len(stored), len(asked)):
            trial = self.problem.evaluate(asked[position], generation, position, best=best)
            self.store.add_trial(self.name, trial)
            brood.append(trial)
            best = outcome.best_of([*([best] if best else []), trial])
            first = self.problem.objectives[0]
            shown = "none yet" if best is None else f"{best.values[first.name]:.5g} {first.unit}"
            display.set_postfix_str(f"best {first.name}: {shown.strip()}", refresh=False)
            display.update()
        return brood


@contextlib.contextmanager
def opened(store: str | os.PathLike[str] | Store | None) -> Iterator[Store]:
    """Gives the store itself, which stays open, or one at a path (None: in memory) for a while."""
    if isinstance(store, Store):
        yield store
    else:
        with Store(store) as own:
            yield own


def generator(seed: int, stream: int = 0) -> np.random.Generator:
    """Returns a search's random generator; PCG64 by name, so that stored states stay readable.

    Different streams of one seed are independent.
    """
    return np.random.Generator(np.random.PCG64([seed, stream]))
