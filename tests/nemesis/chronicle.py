"""What everything in the book was after each step of the ledger's order, and what one look at it may have found. Pure.

Whoever changes an account, what a binding has used, or whether a gift is on its way, holds a row until the commit. So of one of these a
look finds what it was after some step, and the steps before. Of two of them it may find different places: steps that share no row become
visible in any order. But what one step did is found as a whole or not at all.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Key = tuple[str, str]


class Past(NamedTuple):
    """What it was after a step; when that step was known outside, and before when it cannot have begun."""

    step: int
    value: Any
    answered_s: float
    sent_s: float


BEFORE_ALL = -1


@dataclass(slots=True)
class Chronicle:
    """`changed`: of each step, in their order, what it has changed."""

    first: Callable[[Key], Any]
    past: dict[Key, list[Past]] = field(default_factory=lambda: defaultdict(list))
    changed: list[frozenset[Key]] = field(default_factory=list)

    def write(self, values: Mapping[Key, Any], answered_s: float, sent_s: float) -> None:
        """The next step."""
        for key, value in values.items():
            self.past[key].append(Past(len(self.changed), value, answered_s, sent_s))
        self.changed.append(frozenset(values))

    def seen(self, key: Key, sent_s: float, came_s: float) -> list[tuple[int, Any]]:
        """What it may have been, and since which step: known before somebody looked, or made of it while they did."""
        found = [(BEFORE_ALL, self.first(key))]
        for each in self.past.get(key, ()):
            if each.answered_s < sent_s:
                found = []
            elif each.sent_s > came_s:
                break
            found.append((each.step, each.value))
        return found

    def looks(
        self, keys: Sequence[Key], sent_s: float, came_s: float, fits: Callable[[Key, Any], bool]
    ) -> Iterator[dict[Key, Any]]:
        """Everything that one look at these may have found, as far as each by itself `fits`."""
        seen = [[found for found in self.seen(key, sent_s, came_s) if fits(key, found[1])] for key in keys]
        yield from self._looks(keys, seen, [])

    def _looks(
        self, keys: Sequence[Key], seen: Sequence[list[tuple[int, Any]]], taken: list[tuple[int, Any]]
    ) -> Iterator[dict[Key, Any]]:
        if len(taken) == len(keys):
            yield {key: value for key, (_, value) in zip(keys, taken, strict=True)}
            return
        key = keys[len(taken)]
        for found in seen[len(taken)]:
            if not any(
                self._torn(key, found[0], *other) for other in zip(keys, (step for step, _ in taken), strict=False)
            ):
                yield from self._looks(keys, seen, [*taken, found])

    def _torn(self, one: Key, since: int, other: Key, other_since: int) -> bool:
        """Whether a step that changed both would have been found in one of them only."""
        (earlier, behind), (later, ahead) = sorted([(since, one), (other_since, other)])
        past = self.past.get(behind, [])
        unseen = bisect_right(past, earlier, key=lambda each: each.step)
        return any(
            ahead in self.changed[each.step]
            for each in past[unseen : bisect_right(past, later, key=lambda each: each.step)]
        )
