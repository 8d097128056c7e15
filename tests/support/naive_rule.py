"""The settlement rule a second time, slowly and in plain dicts, from the contract's words alone.

Nothing of the project is used here: where this and the worker disagree, one of them has misread the contract.
"""

from typing import Any

LIST = [
    "region_not_connected",
    "payer_not_eligible",
    "payer_account_frozen",
    "expense_not_shared",
    "authorised_limit_exceeded",
]


def settle(asked: dict[str, Any], world: dict[str, Any]) -> dict[str, Any]:
    """What the answer says, and what each account pays as (this year's, earlier years', wallet)."""
    patient, amount = world["patient"], asked["amount_fen"]
    if reason := refused(asked, patient):
        return declined(reason, None)
    balance = patient["current"] + patient["prior"]
    if asked["expense_type"] in ("public_health", "fitness", "wellness"):
        return declined("expense_not_covered", balance)

    own = 0
    if asked["use_own_account"] and patient["insurance"] == "employee" and not patient["frozen"]:
        own = min(balance, amount)
    wallet = min(patient["wallet"], amount - own)
    shortfall = amount - own - wallet
    reason, payer = mutual_aid(asked, world, shortfall) if shortfall else (None, None)
    if payer is None and shortfall:
        if asked["require_full"]:
            return declined(reason if asked["use_mutual_aid"] else "own_balance_insufficient", balance)
        if shortfall == amount:
            return declined(reason, balance)

    this_year = min(patient["current"], own)
    paid = {"patient": (this_year, own - this_year, wallet)}
    if payer:
        earlier = min(payer["prior"], shortfall)
        paid[payer["id"]] = (shortfall - earlier, earlier, 0)
    return {
        "outcome": "settled" if payer or not shortfall else "partial",
        "reason": reason,
        "own": own,
        "wallet": wallet,
        "mutual": shortfall if payer else 0,
        "payer": payer["id"] if payer else None,
        "own_balance": balance - own,
        "paid": {who: parts for who, parts in paid.items() if any(parts)},
    }


def refused(asked: dict[str, Any], patient: dict[str, Any] | None) -> str | None:
    """Why the person or the credential is refused."""
    if patient is None:
        return "person_unknown"
    if asked["credential"]["person_id"] != asked["person_id"]:
        return "credential_mismatch"
    return None if patient["status"] == "active" else "person_not_insured"


def declined(reason: str | None, balance: int | None) -> dict[str, Any]:
    nothing: dict[str, Any] = {"own": 0, "wallet": 0, "mutual": 0, "payer": None, "paid": {}}
    return {"outcome": "declined", "reason": reason, "own_balance": balance, **nothing}


def mutual_aid(asked: dict[str, Any], world: dict[str, Any], shortfall: int) -> tuple[Any, Any]:
    """Why nobody pays, or who pays the whole shortfall."""
    if not asked["use_mutual_aid"]:
        return "mutual_aid_not_requested", None
    if not world["payers"]:
        return "kinship_account_only" if world["kinship_linked"] else "no_binding", None
    reasons = [out(asked, world, payer, shortfall) for payer in world["payers"]]
    if all(reasons):
        return next(reason for reason in reversed(LIST) if reason in reasons), None
    ranked = [payer for payer, reason in zip(world["payers"], reasons, strict=True) if not reason]
    most = max(usable(world, payer) for payer in ranked)
    richest = [payer for payer in ranked if usable(world, payer) == most]
    oldest = [payer for payer in richest if payer["bound_on"] == min(each["bound_on"] for each in richest)]
    first = next(payer for payer in oldest if payer["binding"] == min(each["binding"] for each in oldest))
    if most == 0:
        return "payer_balance_zero", None
    return ("richest_payer_insufficient", None) if most < shortfall else (None, first)


def out(asked: dict[str, Any], world: dict[str, Any], payer: dict[str, Any], shortfall: int) -> str | None:
    """The first reason of the list that applies to a candidate."""
    rules, mine, theirs = policy_of(world, payer), payer["region"], world["patient"]["region"]
    open_to_all = rules["scope"] != "pool" and policy_of(world, world["patient"])["scope"] != "pool"
    apart = mine[:4] != theirs[:4] and not (mine[:2] == theirs[:2] and open_to_all)
    # Of a binding that ended by itself today the cause counts: who left is no employee any more, wherever in the province.
    if payer["closed"]:
        apart = payer["closed"].endswith("_moved") or mine[:2] != theirs[:2]
    limits = [limit for limit in (payer["limit"], rules["annual_limit_fen"]) if limit is not None]
    applies = {
        "region_not_connected": apart,
        "payer_not_eligible": bool(payer["closed"]) or payer["insurance"] != "employee" or payer["status"] != "active",
        "payer_account_frozen": payer["frozen"],
        "expense_not_shared": asked["expense_type"] not in rules["shared_expense_types"],
        "authorised_limit_exceeded": bool(limits) and min(limits) - payer["used"] < shortfall,
    }
    return next((reason for reason in LIST if applies[reason]), None)


def usable(world: dict[str, Any], payer: dict[str, Any]) -> int:
    rules = policy_of(world, payer)
    funds = payer["prior"] if rules["funds"] == "prior_years" else payer["prior"] + payer["current"]
    return max(0, int(funds) - int(rules["keep_fen"]))


def policy_of(world: dict[str, Any], person: dict[str, Any]) -> dict[str, Any]:
    """Full code, else four digits, else two, else the default."""
    policies = world["policies"]
    codes = [code for code in (person["region"], person["region"][:4], person["region"][:2], "") if code in policies]
    found: dict[str, Any] = policies[codes[0]]
    return found
