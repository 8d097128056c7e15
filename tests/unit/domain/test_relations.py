"""Near relatives and their national codes. Contract: `relation`; domain.md, "The words"."""

import pytest

from shared.domain.relations import KINSHIP, RELATION_GROUPS, Relation

NAMES = {
    "spouse",
    "father",
    "mother",
    "son",
    "daughter",
    "brother",
    "sister",
    "paternal_grandfather",
    "paternal_grandmother",
    "maternal_grandfather",
    "maternal_grandmother",
    "grandson",
    "granddaughter",
    "daughters_son",
    "daughters_daughter",
}
CODES = {
    "spouse": range(10, 13),
    "son": [*range(20, 28), 29],
    "daughter": [*range(30, 38), 39],
    "grandson": [41],
    "granddaughter": [42],
    "daughters_son": [43],
    "daughters_daughter": [44],
}
PARENTS = {50, 51, 52, 57, 58}
PATERNAL, MATERNAL = {61, 62}, {63, 64}
SIBLINGS = set(range(70, 78))
NOT_NEAR = {28, 38, 53, 54, 55, 56}


def codes_of(*names: str) -> set[int]:
    return {int(code) for name in names for code in KINSHIP[Relation(name)].codes}


def test_names_are_the_contracts() -> None:
    """The fifteen names of the contract, no more and no fewer."""
    assert set(Relation) == NAMES


@pytest.mark.parametrize("relation", sorted(NAMES))
def test_every_name_has_codes_a_chinese_word_and_a_group(relation: str) -> None:
    """In one table, beside each other; every code has two digits."""
    kinship = KINSHIP[Relation(relation)]

    assert kinship.codes
    assert all(len(code) == 2 and code.isascii() and code.isdigit() for code in kinship.codes)
    assert len(set(kinship.codes)) == len(kinship.codes)
    assert all("\u4e00" <= character <= "\u9fff" for character in kinship.chinese)
    assert kinship.group in RELATION_GROUPS


@pytest.mark.parametrize("code", sorted(NOT_NEAR))
def test_spouses_of_children_and_parents_of_the_spouse_are_nowhere(code: int) -> None:
    """28, 38 and 53-56 are not near relatives."""
    assert code not in codes_of(*NAMES)


@pytest.mark.parametrize("relation", CODES)
def test_codes_are_the_national_ones(relation: str) -> None:
    """Spouse 10-12, sons 20-29, daughters 30-39, grandchildren 41-44."""
    assert codes_of(relation) == set(CODES[relation])


def test_parents_have_their_codes_between_them() -> None:
    """50-52 parents, 57 and 58 step or adoptive parents."""
    assert codes_of("father", "mother") == PARENTS


def test_grandparents_have_their_codes() -> None:
    """61 and 62 paternal, 63 and 64 maternal."""
    assert codes_of("paternal_grandfather", "paternal_grandmother") == PATERNAL
    assert codes_of("maternal_grandfather", "maternal_grandmother") == MATERNAL


def test_siblings_have_their_codes_between_them() -> None:
    """70-77 siblings."""
    assert codes_of("brother", "sister") == SIBLINGS


def test_words_tell_the_relations_apart() -> None:
    """No two relations have one Chinese word."""
    assert len({kinship.chinese for kinship in KINSHIP.values()}) == len(NAMES)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_no_group_has_a_relations_name_but_its_only_member(name: str) -> None:
    """A limit by relation names a relation or a group; it must be clear which."""
    members = {relation for relation, kinship in KINSHIP.items() if kinship.group == name}

    assert members in (set(), {Relation(name)})
