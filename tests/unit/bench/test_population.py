"""The people of the bench: as many as it says, the same each time."""

from collections import Counter
from itertools import islice

from bench.bills import bills
from bench.population import Population, person_id
from bench.scale import FULL

SMALL = Population(families=40, seed=1)


def test_the_full_measurement_has_the_size_that_was_asked_for() -> None:
    """200,000 accounts and 500,000 bindings."""
    assert (FULL.population.accounts, FULL.population.bindings) == (200_000, 500_000)
    assert FULL.backlog == 20_000
    assert FULL.rounds >= 5


def test_everybody_is_in_one_family() -> None:
    everybody = Counter(person for couple, relatives in SMALL.draw() for person in (*couple, *relatives))

    assert everybody == Counter(person_id(number) for number in range(SMALL.people))


def test_each_couple_is_bound_to_each_other_and_to_their_relatives() -> None:
    bindings = sum(2 + 2 * len(relatives) for _, relatives in SMALL.draw())

    assert bindings == SMALL.bindings


def test_bills_are_the_same_each_time() -> None:
    first, again = ([bill.content() for bill in islice(bills(SMALL, "one"), 20)] for _ in range(2))

    assert [_without_time(each) for each in first] == [_without_time(each) for each in again]


def test_no_two_series_share_a_request() -> None:
    names = {bill.request_id for series in ("one", "two") for bill in islice(bills(SMALL, series), 20)}

    assert len(names) == 40


def _without_time(content: str) -> str:
    head, _, tail = content.partition('"occurred_at":"')
    return head + tail.partition('"')[2]
