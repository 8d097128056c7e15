"""Accounts in memory, moving on with each movement, and the movements that are still to be written. Pure."""

from dataclasses import dataclass, field
from datetime import datetime

from services.settlement.model import Contra, Entry, Movement, MovementKind, Transfer
from shared.domain.accounts import EMPTY, Account
from shared.domain.ids import PersonKey, time_ordered_uuid
from shared.domain.regions import whole_province
from shared.domain.times import shanghai_year, year_start


@dataclass(slots=True)
class Journal:
    """`accounts` are as of `now`.

    `rolling` names accounts whose stored balances are still of an earlier year, and how many fen of theirs count as
    earlier years' money by now: the first movement of such an account is preceded by the rollover that says so.
    """

    now: datetime
    accounts: dict[PersonKey, Account]
    rolling: dict[PersonKey, int] = field(default_factory=dict)
    movements: list[Movement] = field(default_factory=list)

    def move(self, movement: Movement) -> None:
        """The movement is made: accounts are as after it."""
        for entry in movement.entries:
            if rolled_fen := self.rolling.pop(entry.person, 0):
                self.movements.append(rollover(entry.person, rolled_fen, shanghai_year(self.now)))
            self.accounts[entry.person] = self.accounts.get(entry.person, EMPTY).plus(entry)
        self.movements.append(movement)

    def count(self, transfer: Transfer) -> None:
        """What has become its receiver's and has not arrived counts as in the wallet, where nothing is written."""
        wallet = Account(wallet_fen=transfer.amount_fen)
        self.accounts[transfer.receiver] = self.accounts.get(transfer.receiver, EMPTY).plus(wallet)


def rollover(person: PersonKey, rolled_fen: int, year: int) -> Movement:
    """What was this year's money is earlier years' in `year`. The id is the same whoever does it: once a year, for good."""
    movement_id = time_ordered_uuid(year_start(year), "rollover", str(year), str(person.province), person.person_id)
    region = whole_province(person.province)
    entry = Entry(person, Contra.SELF, region, current_year_fen=-rolled_fen, prior_years_fen=rolled_fen)
    return Movement(MovementKind.ROLLOVER, movement_id, (entry,))
