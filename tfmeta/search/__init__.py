"""Search: searchers that propose structures, and the one loop that evaluates and remembers them.

To add a searcher: a file with a class that fulfils `Searcher` (and has a dataclass ``Options``),
and a line here.
"""

import sys
from types import ModuleType

SEARCHERS = {
    "genetic": "tfmeta.search.genetic:Genetic",
    "random": "tfmeta.search.random:Random",
}

# Below the registry, which the search itself reads.
from tfmeta.search.api import search  # noqa: E402
from tfmeta.search.controls import CONTROLS  # noqa: E402
from tfmeta.search.pareto import pareto_front  # noqa: E402
from tfmeta.search.types import Searcher, SearchResult  # noqa: E402
from tfmeta.trial import Trial  # noqa: E402


class _Callable(ModuleType):
    """This package, which may be called: `tfmeta.search` names both it and its function."""

    __call__ = staticmethod(search)


sys.modules[__name__].__class__ = _Callable

__all__ = [
    "CONTROLS",
    "SEARCHERS",
    "SearchResult",
    "Searcher",
    "Trial",
    "pareto_front",
    "search",
]
