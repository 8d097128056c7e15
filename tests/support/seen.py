"""What either side of a payment sees of it in a story, from the answers that moved money."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from services.binding.model import Binding, PaymentFund, PaymentKind, PaymentRole

Said = dict[str, Any]
FUNDS = {
    PaymentFund.OWN: "own_account_fen",
    PaymentFund.WALLET: "wallet_fen",
    PaymentFund.MUTUAL_AID: "mutual_aid_fen",
}


@dataclass(frozen=True, slots=True)
class Moved:
    """One answer: whose bill it was about, and where."""

    kind: PaymentKind
    person_id: str
    at: str
    answer: Said

    def sides(self, fund: PaymentFund) -> dict[str, tuple[PaymentRole, str | None]]:
        """Who sees what one fund paid, as what, and with whom."""
        if fund is not PaymentFund.MUTUAL_AID:
            return {self.person_id: (PaymentRole.SELF, None)}
        payer_id = self.answer["payer_id"]
        return {payer_id: (PaymentRole.PAYER, self.person_id), self.person_id: (PaymentRole.BENEFICIARY, payer_id)}


def payments(moved: Sequence[Moved], person_id: str) -> Iterator[Said]:
    """A person's payments, newest first."""
    for each in reversed(moved):
        for fund, field in FUNDS.items():
            amount_fen = each.answer.get(field) or 0
            if amount_fen and (side := each.sides(fund).get(person_id)):
                role, other = side
                told = {"kind": each.kind, "role": role, "other": other, "fund": fund, "yuan": amount_fen / 100}
                yield {name: value for name, value in told.items() if value} | {"at": each.at}


def bindings(made: Sequence[Binding], person_id: str) -> Iterator[Said]:
    """A person's bindings on either side, those that are over included."""
    for each in made:
        if person_id in (each.payer_id, each.beneficiary_id):
            told = {"payer": each.payer_id, "beneficiary": each.beneficiary_id, "relation": each.relation}
            yield told | ({"ended": each.end_cause} if each.end_cause else {})
