"""Where the nemesis strikes: ten families, a hospital and an agency in one region."""

HOSPITAL, AGENCY, REGION = "H1", "A1", "130100"
FAMILIES = 10
NAME = "诸葛孔明"
# Between two tries.
PAUSE_S = 0.2


def people(family: int) -> tuple[str, str, str, str]:
    """A mother and a father who pay, a son with an account of his own, a child without."""
    return tuple(f"F{family}-{who}" for who in ("MOTHER", "FATHER", "SON", "CHILD"))  # type: ignore[return-value]
