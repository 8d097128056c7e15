"""What a bearer of a token may be."""

from enum import StrEnum


class Role(StrEnum):
    MEMBER = "member"
    CLERK = "clerk"
    OPERATOR = "operator"
    FEED = "feed"
    INSTITUTION = "institution"
