"""The demo speaks Chinese to whoever asked for it: no code stands where a word could."""

import re
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.environment import Environment
from cli.scenario.parts import Scenario, Step, read_scenario, verb_of
from cli.scenario.stage import Stage
from cli.scenario.steps import play
from cli.speech import Speech
from shared.domain.roles import Role
from shared.messages.envelope import Request

ACTS = {file.stem: read_scenario(file) for file in sorted(Path("examples").glob("*.yaml"))}
STEPS = [
    pytest.param(scenario, step, id=f"{name} {number} {verb_of(step.model_dump(exclude_none=True))}")
    for name, scenario in ACTS.items()
    for number, step in enumerate(scenario.steps, 1)
]
NOTHING: dict[str, Any] = {
    **dict.fromkeys(("reason", "payer_id", "original", "differences")),
    **dict.fromkeys(("own_account_fen", "wallet_fen", "mutual_aid_fen", "cash_fen", "refunded_fen"), 0),
    **dict.fromkeys(("replayed", "cancelled"), False),
}
TOTALS = {"count": 1, "account_fen": 1, "mutual_aid_fen": 1, "refunded_fen": 0}
# A word in small letters alone is a code; ids and region codes are in capitals or have digits.
CODE = re.compile(r"(?<![\w-])[a-z_]{3,}(?![\w-])")


class Canned(Stage):
    """Answers what the scenario expects, from no server."""

    step: Step

    async def ask(self, request: Request) -> dict[str, Any]:
        expected = self.step.expect.model_dump(exclude_none=True)
        if request.operation == "lookup":
            original = {**NOTHING, **expected, "outcome": expected.get("original", expected["outcome"])}
            return {**NOTHING, "request_id": "R", **expected, "original": original}
        return {**NOTHING, "ours": TOTALS, "theirs": TOTALS, **expected, "reason": None}

    async def call(
        self, role: Role, method: str, path: str, body: Any = None, *, member: str | None = None, **query: str
    ) -> dict[str, Any]:
        if path == "/v1/diagnosis":
            return {"possible": False, "reason": None, "checks": []}
        if method == "GET":
            ended = [
                {"beneficiary_id": f"{person}-1", "end_cause": cause, "binding_id": "13-1"}
                for person, cause in getattr(self.step.expect, "ended", {}).items()
            ]
            return {"items": [{"state": "pending", "transfer_id": "13-2"}] if "transfers" in path else ended}
        return {"state": "accepted"}


@pytest.mark.parametrize(("scenario", "step"), STEPS)
async def test_a_step_is_told_without_codes(scenario: Scenario, step: Step) -> None:
    """What was asked and what came of it."""
    async with httpx.AsyncClient() as http:
        stage = type("Played", (Canned,), {"step": step})(scenario, Environment({}), http, Speech(chinese=True), "1")
        played = await play(stage, step)

    assert CODE.findall(re.sub(r"\[/?[a-z]*\]", "", f"{played.asked} {played.answer}")) == []
