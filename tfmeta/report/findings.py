"""What the numbers say, in sentences: also where the search did not pay."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tfmeta.report import wording
from tfmeta.report.data import Missing, ReportData, Row

# Costs that differ by more than this are told beside a comparison of accuracies.
_SAME_COST = 0.03
# Two accuracies of independent networks differ by chance by less than this many standard errors in
# 19 of 20 comparisons.
_STANDARD_ERRORS = 1.96


@dataclass(frozen=True)
class Finding:
    """One sentence; ``good`` is None where it says nothing for or against the search."""

    sentence: str
    good: bool | None


def findings(data: ReportData) -> tuple[Finding, ...]:
    """Returns what the table says about the searched network, control by control.

    Accuracies after retraining are compared where both networks have one, on the search split with
    generated weights otherwise. A lead counts only where it is larger than chance makes it; where
    that is not known, it is told and counts neither way.
    """
    winner = data.row(data.winner)
    if winner is None:
        return (Finding("No network was found by the search yet, so nothing is compared.", None),)
    controls = [row for row in data.rows if row.name not in (data.winner, data.full)]
    found = [_against(winner, control, data) for control in controls]
    if not controls:
        found.append(Finding("There is no control to compare the searched network with.", None))
    full = data.row(data.full)
    if full is not None:
        found.append(_against_full(winner, full, data))
    return tuple(found)


def _against(winner: Row, control: Row, data: ReportData) -> Finding:
    pairs = (
        (winner.test_accuracy, control.test_accuracy, "on the test split", data.test_images),
        (
            winner.search_accuracy,
            control.search_accuracy,
            "on the search split with generated weights (not retrained)",
            data.search_images,
        ),
    )
    for ours, theirs, where, images in pairs:
        if isinstance(ours, Missing) or isinstance(theirs, Missing):
            continue
        names = f"{winner.name} ({wording.percent(ours)})"
        other = f"{control.name} ({wording.percent(theirs)}{_cost_note(winner, control)})"
        points = 100 * (ours - theirs)
        if not data.binomial:
            told = f"{abs(points):.1f} points {'above' if points > 0 else 'below'}" if points else "equal to"
            sentence = f"{names} is {told} {other} {where}; how far chance moves a {data.metric} is not known."
            return Finding(_capital(sentence), None)
        chance = _chance(ours, theirs, images)
        within = images is not None and abs(points) < chance
        note = f", within chance (±{chance:.1f} points on {images:,} images)" if within else ""
        size = f"{abs(points):.1f} points"
        if points <= 0:
            lead = "equal" if points == 0 else f"{size} below it"
            sentence = f"{names} does not beat {other} {where}: {lead}{note}."
            return Finding(_capital(sentence), False)
        verb = "is not clearly better than" if within else "beats"
        return Finding(_capital(f"{names} {verb} {other} {where}: by {size}{note}."), not within)
    return Finding(
        f"{winner.name.capitalize()} and {control.name} have no {data.metric} in common to compare.",
        None,
    )


def _against_full(winner: Row, full: Row, data: ReportData) -> Finding:
    share = winner.macs / full.macs if full.macs else math.nan
    sentence = f"{winner.name} needs {100 * share:.0f} % of the full network's MACs"
    ours, theirs = winner.test_accuracy, full.test_accuracy
    if not isinstance(ours, Missing) and not isinstance(theirs, Missing):
        points = 100 * (ours - theirs)
        change = f"{abs(points):.1f} points {'more' if points > 0 else 'less'}"
        sentence += f" for {'the same' if points == 0 else change} test {data.metric}"
    return Finding(_capital(sentence + "."), None)


def _cost_note(winner: Row, control: Row) -> str:
    ratio = control.macs / winner.macs if winner.macs else 1.0
    if abs(ratio - 1.0) <= _SAME_COST:
        return ""
    return f", with {100 * abs(ratio - 1):.0f} % {'more' if ratio > 1 else 'fewer'} MACs"


def _chance(first: float, second: float, images: int | None) -> float:
    """Returns by how many points two accuracies on ``images`` images differ by chance alone."""
    if not images:
        return 0.0
    variance = (first * (1 - first) + second * (1 - second)) / images
    return 100 * _STANDARD_ERRORS * math.sqrt(variance)


def _capital(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:]
