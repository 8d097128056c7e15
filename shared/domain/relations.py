"""Near relatives: what the beneficiary is to the payer.

The national two-digit kinship codes stand beside each name. Children's spouses (28, 38) and the spouse's parents
(53-56) are not near relatives and have no name here. Source: domain.md, "The words".
"""

from dataclasses import dataclass
from enum import StrEnum


class Relation(StrEnum):
    SPOUSE = "spouse"
    FATHER = "father"
    MOTHER = "mother"
    SON = "son"
    DAUGHTER = "daughter"
    BROTHER = "brother"
    SISTER = "sister"
    PATERNAL_GRANDFATHER = "paternal_grandfather"
    PATERNAL_GRANDMOTHER = "paternal_grandmother"
    MATERNAL_GRANDFATHER = "maternal_grandfather"
    MATERNAL_GRANDMOTHER = "maternal_grandmother"
    GRANDSON = "grandson"
    GRANDDAUGHTER = "granddaughter"
    DAUGHTERS_SON = "daughters_son"
    DAUGHTERS_DAUGHTER = "daughters_daughter"


@dataclass(frozen=True, slots=True)
class Kinship:
    """One row of the national table."""

    codes: tuple[str, ...]
    chinese: str
    group: str


KINSHIP: dict[Relation, Kinship] = {
    Relation.SPOUSE: Kinship(("10", "11", "12"), "配偶", "spouse"),
    Relation.FATHER: Kinship(("50", "51", "57"), "父亲", "parents"),
    Relation.MOTHER: Kinship(("50", "52", "58"), "母亲", "parents"),
    Relation.SON: Kinship(tuple(str(code) for code in range(20, 30) if code != 28), "儿子", "children"),
    Relation.DAUGHTER: Kinship(tuple(str(code) for code in range(30, 40) if code != 38), "女儿", "children"),
    Relation.BROTHER: Kinship(("70", "71", "72", "73", "74"), "兄弟", "siblings"),
    Relation.SISTER: Kinship(("70", "75", "76", "77"), "姐妹", "siblings"),
    Relation.PATERNAL_GRANDFATHER: Kinship(("61",), "祖父", "grandparents"),
    Relation.PATERNAL_GRANDMOTHER: Kinship(("62",), "祖母", "grandparents"),
    Relation.MATERNAL_GRANDFATHER: Kinship(("63",), "外祖父", "grandparents"),
    Relation.MATERNAL_GRANDMOTHER: Kinship(("64",), "外祖母", "grandparents"),
    Relation.GRANDSON: Kinship(("41",), "孙子", "grandchildren"),
    Relation.GRANDDAUGHTER: Kinship(("42",), "孙女", "grandchildren"),
    Relation.DAUGHTERS_SON: Kinship(("43",), "外孙", "grandchildren"),
    Relation.DAUGHTERS_DAUGHTER: Kinship(("44",), "外孙女", "grandchildren"),
}

RELATION_GROUPS = frozenset(kinship.group for kinship in KINSHIP.values())
