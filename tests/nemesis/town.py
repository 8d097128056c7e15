"""Where the nemesis strikes: ten families, a hospital and an agency in one region."""

HOSPITAL, AGENCY, REGION = "H1", "A1", "130100"
FAMILIES = 10
NAME = "诸葛孔明"
# Between two tries.
PAUSE_S = 0.2
# For the whole province; what it does not say is as shipped: the whole balance may be shared, of outpatient care and the like.
POLICY = {
    "effective_from": "2020-01-01",
    "scope": "province",
    "unbind_after_days": 0,
    "wallet": {"per_day": 1_000, "closed_from": "00:00", "closed_until": "00:00"},
}


def people(family: int) -> tuple[str, str, str, str]:
    """A mother and a father who pay, a son with an account of his own, a child without."""
    return tuple(f"F{family}-{who}" for who in ("MOTHER", "FATHER", "SON", "CHILD"))  # type: ignore[return-value]
