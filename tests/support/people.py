"""The people of the bench as a list, which the bench itself never makes."""

from collections.abc import Iterator

from bench.population import Population


def families_of(population: Population) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
    """Each family: its employees, then its other relatives."""
    for family in range(population.families):
        ids = tuple(population.person_id(number) for number in population.members(family))
        yield ids[: population.payers], ids[population.payers :]
