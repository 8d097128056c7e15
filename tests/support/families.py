"""Random families and bills, as plain dicts for a naive rule and as the worker reads them. Amounts are small: ties are common."""

from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from services.settlement.batch import Batch
from shared.domain.accounts import Account
from shared.domain.enrolment import EndCause
from shared.domain.ids import PersonKey
from shared.domain.mutual_aid import Binding
from shared.domain.policy import SHIPPED, shipped_policies
from tests.support.builders import PATIENT, batch, earlier, enrolment, policy

FEN = st.integers(0, 12)
LIMIT = st.none() | st.none() | st.integers(0, 25)
REGIONS = st.sampled_from(["130100", "130102", "130200", "139900"])
EXPENSES = ["outpatient", "inpatient", "pharmacy", "resident_premium"]
MOSTLY_TRUE = st.sampled_from([True] * 7 + [False])
RARELY_TRUE = st.sampled_from([False] * 7 + [True])
CLOSED = st.sampled_from([None] * 12 + list(EndCause))
STATUSES = st.sampled_from(["active"] * 14 + ["suspended", "ended"])

POLICIES = st.fixed_dictionaries(
    {
        "scope": st.sampled_from(["pool", "province", "nation"]),
        "funds": st.sampled_from(["all", "prior_years"]),
        "keep_fen": st.just(0) | st.integers(0, 3),
        "annual_limit_fen": LIMIT,
        "shared_expense_types": st.sampled_from([EXPENSES, EXPENSES, EXPENSES, EXPENSES[1:]]),
    }
)
SHIPPED_POLICIES = {
    version.code: version.policy.model_dump(mode="json") for version in shipped_policies() if version.version == SHIPPED
}


@st.composite
def people(draw: st.DrawFn, insurance: list[str], regions: st.SearchStrategy[str]) -> dict[str, Any]:
    return {
        "region": draw(regions),
        "insurance": draw(st.sampled_from(insurance)),
        "status": draw(STATUSES),
        "frozen": draw(RARELY_TRUE),
        "current": draw(FEN),
        "prior": draw(FEN),
        "wallet": draw(st.just(0) | FEN),
    }


@st.composite
def worlds(draw: st.DrawFn) -> dict[str, Any]:
    """A patient, up to five payers in the order of chance, and the policies of their regions."""
    payers = []
    for number in draw(st.permutations(range(1, draw(st.integers(0, 5)) + 1))):
        payer = draw(people(["employee"] * 9 + ["resident"], REGIONS | st.just("110100")))
        bound = {"bound_on": -draw(st.integers(0, 2)), "limit": draw(LIMIT), "used": draw(st.integers(0, 4))}
        bound["closed"] = draw(CLOSED)
        payers.append({**payer, **bound, "id": f"payer-{number}", "binding": number})
    patient = draw(people(["employee", "resident"], REGIONS))
    put = draw(st.dictionaries(st.sampled_from(["130100", "1301", "1302", "13", "11"]), POLICIES))
    return {
        "patient": draw(st.sampled_from([patient] * 19 + [None])),
        "payers": payers,
        "kinship_linked": draw(st.booleans()),
        "policies": {**SHIPPED_POLICIES, **put},
        "put": put,
    }


REQUESTS = st.fixed_dictionaries(
    {
        "person_id": st.just("patient"),
        "credential": st.sampled_from(["patient"] * 19 + ["payer-1"]).map(lambda who: {"type": "01", "person_id": who}),
        "expense_type": st.sampled_from(EXPENSES * 8 + ["public_health", "fitness", "wellness"]),
        "amount_fen": st.integers(1, 30),
        "use_own_account": MOSTLY_TRUE,
        "use_mutual_aid": MOSTLY_TRUE,
        "require_full": RARELY_TRUE,
    }
)


def key_of(payer: dict[str, Any]) -> PersonKey:
    return PersonKey(int(payer["region"][:2]), payer["id"])


def as_batch(world: dict[str, Any]) -> Batch:
    """The same family as the worker reads it from its database."""
    everybody = {key_of(payer): payer for payer in world["payers"]}
    if world["patient"]:
        everybody[PATIENT] = world["patient"]
    built = batch(
        {
            key: enrolment(one["region"], one["insurance"], one["status"], frozen=one["frozen"])
            for key, one in everybody.items()
        },
        {key: Account(one["current"], one["prior"], one["wallet"]) for key, one in everybody.items()},
        [
            Binding(
                UUID(int=payer["binding"]),
                key_of(payer),
                earlier(days=-payer["bound_on"]),
                payer["limit"],
                closed=payer["closed"],
            )
            for payer in world["payers"]
        ],
        [policy(code, 1, **fields) for code, fields in world["put"].items()],
        kinship_linked=world["kinship_linked"],
    )
    built.facts.used_fen.update({UUID(int=payer["binding"]): payer["used"] for payer in world["payers"]})
    return built
