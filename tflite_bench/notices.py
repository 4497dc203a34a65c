"""Lines for the person at the screen: on standard error, beside a progress bar without tearing it."""

from __future__ import annotations

import sys

from tqdm import tqdm


def tell(text: str) -> None:
    """Writes ``text`` as a line of its own on standard error."""
    tqdm.write(text, file=sys.stderr)
