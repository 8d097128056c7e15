"""One person's money, in fen: the personal account's two parts, and the wallet."""

from typing import Protocol

from shared.domain.values import dataclass


class Parts(Protocol):
    """A change of each part of an account."""

    @property
    def current_year_fen(self) -> int: ...
    @property
    def prior_years_fen(self) -> int: ...
    @property
    def wallet_fen(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Account:
    """Balances: this year's contributions, earlier years' balance, and what relatives have put into the wallet."""

    current_year_fen: int = 0
    prior_years_fen: int = 0
    wallet_fen: int = 0

    @property
    def personal_fen(self) -> int:
        return self.current_year_fen + self.prior_years_fen

    def plus(self, change: Parts) -> "Account":
        return Account(
            self.current_year_fen + change.current_year_fen,
            self.prior_years_fen + change.prior_years_fen,
            self.wallet_fen + change.wallet_fen,
        )

    def as_of(self, year: int, balances_year: int) -> "Account":
        """The account in a later calendar year than its balances are of: what was this year's is earlier years'."""
        if balances_year >= year:
            return self
        return Account(0, self.prior_years_fen + self.current_year_fen, self.wallet_fen)


EMPTY = Account()
