"""The people of the bench: as many as it says, each in one family."""

from collections import Counter

from bench.figures.contention import large_families
from bench.load import BULK
from bench.population import Population, person_id
from bench.scale import FULL, GROWTH
from tests.support.people import families_of

SMALL = Population(families=40, seed=1)


def test_the_full_measurement_has_the_size_that_was_asked_for() -> None:
    """200,000 accounts and 500,000 bindings."""
    assert (FULL.population.accounts, FULL.population.bindings) == (200_000, 500_000)
    assert FULL.backlog == 20_000
    assert FULL.rounds >= 5


def test_a_gateway_sends_a_hundred_full_messages() -> None:
    assert FULL.gateway_backlog == 100 * BULK.settlements_max


def test_growth_is_measured_at_the_size_of_a_nation_against_the_usual_one() -> None:
    """10,000,000 accounts, 20,000,000 bindings, 50,000,000 entries; and the same in small, with a size between them."""
    *smaller, grown = (GROWTH.population, *GROWTH.grown)

    assert (grown.accounts, grown.bindings, grown.entries) == (10_000_000, 20_000_000, 50_000_000)
    assert [people.accounts for people in smaller] == [200_000, 1_000_000]
    assert {people.entries / people.accounts for people in smaller} == {grown.entries / grown.accounts}


def test_everybody_is_in_one_family() -> None:
    everybody = Counter(person for couple, relatives in families_of(SMALL) for person in (*couple, *relatives))

    assert everybody == Counter(person_id(number) for number in range(SMALL.people))


def test_each_couple_is_bound_to_each_other_and_to_their_relatives() -> None:
    bindings = sum(2 + 2 * len(relatives) for _, relatives in families_of(SMALL))

    assert bindings == SMALL.bindings


def test_families_of_one_size_do_not_all_stand_at_the_same_place_of_their_lot() -> None:
    sizes = [len(relatives) for _, relatives in families_of(SMALL)]

    assert len(set(sizes[:: len(SMALL.relatives)])) == len(SMALL.relatives)


def test_a_large_family_has_one_payer_and_the_eight_relatives_that_hebei_allows() -> None:
    couple, relatives = next(families_of(large_families(seed=1, families=40)))

    assert (len(couple), len(relatives)) == (1, 8)


def test_a_payer_without_a_spouse_has_as_many_bindings_as_relatives() -> None:
    people = large_families(seed=1, families=40)

    assert people.bindings == people.people - people.accounts == 8 * people.families
