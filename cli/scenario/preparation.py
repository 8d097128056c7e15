"""What a scenario needs before its first step: policies, people, money, bindings."""

import asyncio
from collections.abc import Callable

from cli.scenario.parts import NewBinding
from cli.scenario.stage import NotAsListed, Stage
from shared.domain.enrolment import InstitutionKind
from shared.domain.roles import Role
from shared.messages.credit import CreditRequest

# Says what was done, in English and in Chinese.
Report = Callable[[str, str], None]


async def prepare(stage: Stage, report: Report) -> None:
    """Puts the policies, registers everybody, fills the accounts, makes the bindings. Raises NotAsListed."""
    await _put_policies(stage, report)
    await _register(stage, report)
    await _credit(stage, report)
    await _bind(stage, report)


async def bind(stage: Stage, binding: NewBinding) -> list[str]:
    """Every reason against a binding; none if it was made."""
    body = {
        "payer_id": stage.unique(binding.payer),
        "beneficiary_id": stage.unique(binding.beneficiary),
        "relation": binding.relation,
        "wallet": binding.wallet,
    }
    reasons: list[str] = (await stage.call(Role.CLERK, "POST", "/v1/bindings", body)).get("reasons", [])
    return reasons


async def _put_policies(stage: Stage, report: Report) -> None:
    put = []
    for code, policy in stage.scenario.policies.items():
        body = policy.model_dump(mode="json")
        version = (await stage.do(Role.OPERATOR, "PUT", f"/v1/regions/{code}/policy", body))["version"]
        put.append(f"{code}@{version}")
    if put:
        report(
            f"put region policies, which stay on this stack: {', '.join(put)}",
            f"录入地区政策（此后一直有效）：{'、'.join(put)}",
        )


async def _register(stage: Stage, report: Report) -> None:
    institutions, persons = stage.scenario.institutions, stage.scenario.persons
    for name, institution in institutions.items():
        await stage.do(Role.OPERATOR, "PUT", f"/v1/institutions/{stage.unique(name)}", institution.model_dump())
    for name, person in persons.items():
        await stage.do(Role.FEED, "PUT", f"/v1/persons/{stage.unique(name)}", person.model_dump())
    report(
        f"registered {len(institutions)} institutions and {len(persons)} persons",
        f"登记机构 {len(institutions)} 家、参保人 {len(persons)} 名",
    )


async def _credit(stage: Stage, report: Report) -> None:
    scenario = stage.scenario
    agency = next(name for name, each in scenario.institutions.items() if each.kind is InstitutionKind.AGENCY)
    requests = [
        CreditRequest.model_validate(
            {
                **stage.common(f"credit-{number:02d}", agency, stage.region_of(part.person)),
                "person_id": stage.unique(part.person),
                "fund": part.fund,
                "amount_fen": part.amount_fen,
            }
        )
        for number, part in enumerate(scenario.credits, 1)
    ]
    for answer in await asyncio.gather(*(stage.ask(request) for request in requests)):
        if answer["outcome"] != "credited":
            raise NotAsListed(f"{answer['request_id']} was {answer['outcome']}: {answer['reason']}")
    report(f"credited {len(requests)} personal accounts", f"划入个人账户 {len(requests)} 笔")


async def _bind(stage: Stage, report: Report) -> None:
    bindings, links = stage.scenario.bindings, stage.scenario.kinship_links
    for part in bindings:
        reasons = await bind(stage, part)
        if reasons != part.refused:
            raise NotAsListed(
                f"binding {part.payer} for {part.beneficiary}: expected {part.refused or 'made'}, got {reasons or 'made'}"
            )
    for link in links:
        body = {"holder_id": stage.unique(link.holder), "shown_id": stage.unique(link.shown)}
        await stage.do(Role.CLERK, "POST", "/v1/kinship-links", body)
    refused = sum(bool(part.refused) for part in bindings)
    made = len(bindings) - refused
    done = [(f"made {made} bindings", f"建立共济关系 {made} 条")]
    if refused:
        done.append((f"{refused} refused as listed", f"按规定拒绝 {refused} 条"))
    if links:
        done.append((f"linked {len(links)} kinship account", f"建立亲情账户 {len(links)} 个"))
    report(", ".join(english for english, _ in done), "，".join(chinese for _, chinese in done))
