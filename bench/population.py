"""Who lives in the measured province: families with accounts, relatives and bindings, each told by its number alone.

Nothing is listed: whoever asks for a family or fills a database computes it, so ten million accounts take no memory here.
Pure. `filling.py` puts a population into a database.
"""

from dataclasses import dataclass
from itertools import accumulate

PROVINCE, AREA = 13, "130100"
AGENCY = "bench-agency"
HOSPITALS = tuple(f"bench-hospital-{number}" for number in range(100))
NAME = "bench"
# Nobody's money runs out, however many figures are measured: to decline is cheaper than to settle.
CREDIT_MIN_FEN, CREDIT_MAX_FEN = 10**10, 2 * 10**10


def person_id(number: int, name: str = NAME) -> str:
    """The id of a person by number: those with an account come first."""
    return f"{name}-{number:08d}"


@dataclass(frozen=True, slots=True)
class Population:
    """Families of employees with an account each, who may pay for each other and for the family's other relatives.

    `relatives` are the numbers of other relatives of as many families, which then repeat: the sums are known without
    drawing. `years_before` is for how many earlier years the books have entries: each year a credit and a turn of the year.
    """

    families: int
    seed: int
    payers: int = 2
    relatives: tuple[int, ...] = (0, 1, 2, 3)
    years_before: int = 0
    credit_min_fen: int = CREDIT_MIN_FEN
    credit_max_fen: int = CREDIT_MAX_FEN
    name: str = NAME

    def __post_init__(self) -> None:
        assert self.families % len(self.relatives) == 0, f"families come in lots of {len(self.relatives)}"
        assert self.payers in {1, 2}

    @property
    def accounts(self) -> int:
        return self.payers * self.families

    @property
    def people(self) -> int:
        return self.accounts + self.families // len(self.relatives) * sum(self.relatives)

    @property
    def bindings(self) -> int:
        return self.accounts * (self.payers - 1) + self.payers * (self.people - self.accounts)

    @property
    def entries(self) -> int:
        return self.accounts * (1 + 2 * self.years_before)

    @property
    def decisions(self) -> int:
        """Nobody asks for the turn of the year, so it is not decided."""
        return self.accounts * (1 + self.years_before)

    def person_id(self, number: int) -> str:
        return person_id(number, self.name)

    def members(self, family: int) -> tuple[int, ...]:
        """The numbers of a family's people: its employees, then its other relatives."""
        lot, place = divmod(family, len(self.relatives))
        # Lots are turned, so that whoever takes each n-th family does not always take those of one size.
        turned = (place - lot) % len(self.relatives)
        until = [0, *accumulate(self.relatives)]
        first = self.accounts + lot * until[-1]
        employees = range(family * self.payers, (family + 1) * self.payers)
        return (*employees, *range(first + until[turned], first + until[turned + 1]))

    @property
    def places(self) -> list[int]:
        """Of the other relatives of a lot, one after the other: in which of its families each is, before it is turned."""
        return [place for place, size in enumerate(self.relatives) for _ in range(size)]

    def facts(self) -> dict[str, int]:
        """How many there are, as a result tells it."""
        return {
            "families": self.families,
            "accounts": self.accounts,
            "people": self.people,
            "bindings": self.bindings,
            "entries": self.entries,
            "seed": self.seed,
        }
