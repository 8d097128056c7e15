"""Bills drawn at random: the same each time, of those whom the figure is about."""

from collections import Counter
from itertools import islice

from bench.bills import Patients, Relatives, Zipf, bills, bulks, request_ids
from bench.figures.contention import large_families
from bench.population import Population
from shared.messages.bulk import BULK_BYTES_MAX
from tests.support.people import families_of

SMALL = Population(families=40, seed=1)


def test_bills_are_the_same_each_time() -> None:
    first, again = ([bill.content() for bill in islice(bills(SMALL, "one"), 20)] for _ in range(2))

    assert [_without_time(each) for each in first] == [_without_time(each) for each in again]


def test_no_two_series_share_a_request() -> None:
    names = {bill.request_id for series in ("one", "two") for bill in islice(bills(SMALL, series), 20)}

    assert len(names) == 40


def test_one_familys_bills_are_of_all_its_relatives_and_never_of_the_payer() -> None:
    people = large_families(seed=1, families=40)

    patients = drawn(people, Relatives(people, families=1))

    (_, relatives) = next(families_of(people))
    assert set(patients) == set(relatives)


def test_bills_that_are_spread_are_each_of_another_family_until_everyone_has_had_one() -> None:
    """None of them waits for the account of another."""
    people = large_families(seed=1, families=40)
    family_of = {relative: payer for payer, relatives in families_of(people) for relative in relatives}

    patients = drawn(people, Relatives(people, families=people.families), people.families)

    assert len({family_of[patient] for patient in patients}) == people.families


def test_the_ids_of_bills_are_known_without_drawing_them() -> None:
    assert request_ids("one", 20) == [bill.request_id for bill in islice(bills(SMALL, "one"), 20)]


def test_by_zipfs_law_the_first_family_comes_twice_as_often_as_the_second_and_ten_times_as_often_as_the_tenth() -> None:
    family_of = {
        person: number for number, family in enumerate(families_of(SMALL)) for people in family for person in people
    }

    came = Counter(family_of[patient] for patient in drawn(SMALL, Zipf(SMALL), 20_000))

    assert 1.8 < came[0] / came[1] < 2.2
    assert 8 < came[0] / came[9] < 12


def test_by_zipfs_law_the_last_family_comes_as_well() -> None:
    _, last = max(enumerate(families_of(SMALL)))

    patients = drawn(SMALL, Zipf(SMALL), 5_000)

    assert not set(patients).isdisjoint(person for people in last for person in people)


def test_bulk_messages_hold_the_same_settlements_of_one_hospital_each() -> None:
    settlements = list(islice(bills(SMALL, "one"), 1_200))

    messages = list(bulks(settlements))

    told = [each for message in messages for each in message.settlements]
    assert [len(message.settlements) for message in messages] == [500, 500, 200]
    assert [(each.request_id, each.person_id, each.amount_fen) for each in told] == [
        (each.request_id, each.person_id, each.amount_fen) for each in settlements
    ]
    assert [{each.institution_id for each in message.settlements} for message in messages] == [
        {message.institution_id} for message in messages
    ]


def test_a_bulk_message_is_no_longer_than_a_worker_reads() -> None:
    (message,) = bulks(islice(bills(SMALL, "a-series-with-a-long-name"), 500))

    assert len(message.model_dump_json()) < BULK_BYTES_MAX


def drawn(people: Population, patients: Patients, how_many: int = 500) -> list[str]:
    return [bill.person_id for bill in islice(bills(people, "one", patients), how_many)]


def _without_time(content: str) -> str:
    head, _, tail = content.partition('"occurred_at":"')
    return head + tail.partition('"')[2]
