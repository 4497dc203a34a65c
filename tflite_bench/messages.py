"""Lines for the person at the screen: on standard error, beside a progress bar without tearing it."""

from __future__ import annotations

import sys

from tqdm import tqdm


def tell(text: str) -> None:
    """Writes ``text`` as a line of its own on standard error."""
    tqdm.write(visible(text), file=sys.stderr)


def visible(text: str, keep: str = "") -> str:
    """Returns ``text`` with escapes for what would change a terminal: names of files and phones may hold anything.

    Args:
        text: what to show.
        keep: characters to leave as they are.
    """
    return "".join(
        letter if letter.isprintable() or letter in keep else letter.encode("unicode_escape").decode()
        for letter in text
    )
