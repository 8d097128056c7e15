"""Bindings and kinship links in the registry."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from services.binding.model import Binding, KinshipLink, Person
from shared.domain.relations import Relation
from shared.postgres.queries import load_queries

SQL = load_queries(__package__, "bindings.sql")


async def standing(connection: Any, payer: Person, beneficiary: Person, today: date) -> list[Binding]:
    """Every binding of either, on the side it would have here, that is not over today."""
    rows = await connection.fetch(SQL["standing"], *payer.key, *beneficiary.key, today)
    return [_binding(row) for row in rows]


async def lock_standing(connection: Any, person: Person, today: date) -> list[Binding]:
    """A person's bindings on either side that an end today would shorten, locked until the transaction ends."""
    rows = await connection.fetch(SQL["lock_standing"], *person.key, today)
    return [_binding(row) for row in rows]


async def add(connection: Any, binding: Binding, by: str) -> None:
    await connection.execute(
        SQL["add"],
        binding.province,
        binding.row_id,
        binding.payer_id,
        binding.beneficiary_province,
        binding.beneficiary_id,
        binding.relation,
        binding.valid_from,
        binding.valid_until,
        binding.annual_limit_fen,
        binding.wallet,
        binding.auto_accept,
        binding.bound_at,
        by,
    )


async def lock(connection: Any, province: int, row_id: UUID) -> Binding | None:
    row = await connection.fetchrow(SQL["lock"], province, row_id)
    return _binding(row) if row else None


async def end(connection: Any, binding: Binding, by: str) -> None:
    """Writes the end that `binding` now carries."""
    await connection.execute(
        SQL["end"],
        binding.province,
        binding.row_id,
        binding.valid_until,
        binding.ended_at,
        by,
        binding.end_cause,
    )


async def list_of(connection: Any, person_id: str, *, side: str, after: UUID, limit: int) -> list[Binding]:
    """A page of a person's bindings as `payer` or as `beneficiary`, those over included."""
    rows = await connection.fetch(SQL[f"list_by_{side}"], person_id, after, limit)
    return [_binding(row) for row in rows]


async def of_beneficiary(connection: Any, beneficiary: Person, payer_id: str | None, today: date) -> list[Binding]:
    """All that are not over today, and the one that was over last; that one with `payer_id`, if given."""
    rows = await connection.fetch(SQL["of_beneficiary"], *beneficiary.key, today, payer_id)
    return [_binding(row) for row in rows]


async def holders(connection: Any, shown: Person) -> frozenset[str]:
    """Everybody who may show this person's code."""
    return frozenset(row["holder_id"] for row in await connection.fetch(SQL["holders"], *shown.key))


async def add_link(connection: Any, link: KinshipLink, by: str) -> KinshipLink:
    """The new link, or the one that already stands between the two."""
    await connection.execute(
        SQL["add_link"], link.province, link.row_id, link.holder_id, link.shown_id, link.linked_at, by
    )
    return _link(await connection.fetchrow(SQL["standing_link"], link.province, link.shown_id, link.holder_id))


async def link(connection: Any, province: int, row_id: UUID) -> KinshipLink | None:
    row = await connection.fetchrow(SQL["link"], province, row_id)
    return _link(row) if row else None


async def end_link(connection: Any, ended: KinshipLink, now: datetime) -> None:
    await connection.execute(SQL["end_link"], ended.province, ended.row_id, now)


async def list_links(connection: Any, person_id: str, *, side: str, after: UUID, limit: int) -> list[KinshipLink]:
    """A page of a person's standing links as `holder` or as the one `shown`."""
    rows = await connection.fetch(SQL[f"list_links_by_{side}"], person_id, after, limit)
    return [_link(row) for row in rows]


def _binding(row: Any) -> Binding:
    return Binding(
        province=row["province"],
        row_id=row["binding_id"],
        payer_id=row["payer_id"],
        beneficiary_province=row["beneficiary_province"],
        beneficiary_id=row["beneficiary_id"],
        relation=Relation(row["relation"]),
        valid_from=row["valid_from"],
        valid_until=row["valid_until"],
        annual_limit_fen=row["annual_limit_fen"],
        wallet=row["wallet"],
        auto_accept=row["auto_accept"],
        bound_at=row["bound_at"],
        ended_at=row["ended_at"],
        end_cause=row["end_cause"],
    )


def _link(row: Any) -> KinshipLink:
    return KinshipLink(row["province"], row["kinship_link_id"], row["holder_id"], row["shown_id"], row["linked_at"])
