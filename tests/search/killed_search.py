"""A search that tells of every evaluation on standard output; a test kills it in the middle."""

from __future__ import annotations

import sys

from tests.search import toy
from tfmeta.graph.structure import Structure
from tfmeta.objectives import Constraint
from tfmeta.search import SearchResult, search
from tfmeta.search.genetic import GeneticOptions

GENERATIONS = 5
POPULATION = 8


def run(path: str | None, searcher: str, *, tell: bool = False) -> SearchResult:
    """Returns the search's result, from the store at ``path``."""

    def score(structure: Structure) -> float:
        if tell:
            print("evaluated", flush=True)
        return toy.Accuracy()([structure])[0]

    options = GeneticOptions(POPULATION, 3, 4, 3) if searcher == "genetic" else None
    return search(
        space=toy.space(),
        searcher=searcher,
        options=options,
        objectives=[toy.Given(score, name="accuracy"), toy.Latency(), toy.Macs()],
        constraints=[Constraint("latency", upper=6.0)],
        store=path,
        generations=GENERATIONS if searcher == "genetic" else 1,
    )


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2], tell=True)
