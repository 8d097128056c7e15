"""clearing: what a day comes to between regions and institutions, and between regions."""

import asyncio
import csv
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from cli.environment import environment
from cli.explain import AUDIT_ROLE
from cli.options import AsJson, Lang
from cli.speech import USAGE, Speech, console, errors, print_json, speech
from shared.domain import clearing as rule
from shared.domain.ids import ids_of_day
from shared.domain.money import yuan
from shared.domain.times import shanghai_date, system_clock
from shared.postgres.pool import connect
from shared.postgres.queries import load_queries

SQL = load_queries("cli", "clearing.sql")
# Sums of a large region need so many columns; a narrow terminal breaks the lines itself.
WIDTH_MAX = 500


@dataclass(frozen=True, slots=True)
class Line:
    """What accounts of a region paid to an institution for care in a region, and what came back, in fen."""

    province: int
    insured_region: str
    institution_id: str
    care_region: str
    settlements: int
    settled_fen: int
    returned_fen: int

    @property
    def owed_fen(self) -> int:
        return self.settled_fen - self.returned_fen


@dataclass(frozen=True, slots=True)
class Report:
    """A day: its lines, and which provinces have closed it; the others may still add to it."""

    day: date
    lines: list[Line]
    closed: dict[int, datetime] = field(default_factory=dict)

    @property
    def open_provinces(self) -> list[int]:
        return sorted({line.province for line in self.lines} - self.closed.keys())

    def total(self, name: str) -> int:
        return sum(getattr(line, name) for line in self.lines)


def clearing(
    day: Annotated[str, typer.Option("--date", help="The Shanghai day, such as 2026-11-24.")],
    as_csv: Annotated[
        bool, typer.Option("--csv", help="A line for each insured region, institution and care region.")
    ] = False,
    as_json: AsJson = False,
    lang: Lang = None,
) -> None:
    """Tell what each region owes each institution and each other region for a day, and where each region stands.

    The bookkeeper closes a day some minutes after midnight, once; what is given back later is of its own day. A day that is
    not closed is told as it is so far.
    """
    say = speech(lang)
    wanted = _day(day)
    if wanted is None or wanted > shanghai_date(system_clock()):
        errors.print(
            say(
                f"[red]{day}: give a day up to today, such as 2026-11-24[/]",
                f"[red]{day}：请给出不晚于今天的日期，如 2026-11-24[/]",
            )
        )
        raise typer.Exit(USAGE)
    report = asyncio.run(read(environment()["GONGJI_DATABASE_URL"], wanted))
    if as_csv:
        _write(report)
    elif as_json:
        print_json(told(report))
    else:
        _show(report, say)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


async def read(url: str, day: date) -> Report:
    connection = await connect(url, role=AUDIT_ROLE, name="gongji-clearing")
    try:
        # A sum over a whole day may take its time; nobody waits for it.
        await connection.execute("SET statement_timeout = 0")
        # Closed and open provinces as of one moment: none is seen twice, or not at all.
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            # Before anything is seen: what is moved into its month later would be found in neither table.
            await connection.execute("LOCK TABLE ledger.entries IN ACCESS SHARE MODE")
            closed = {row["province"]: row["closed_at"] for row in await connection.fetch(SQL["closed"], day)}
            rows = await connection.fetch(SQL["closed_lines"], day)
            rows += await connection.fetch(SQL["open_lines"], *ids_of_day(day), list(closed))
    finally:
        await connection.close()
    lines = sorted(
        (Line(**row) for row in rows), key=lambda line: (line.insured_region, line.institution_id, line.care_region)
    )
    return Report(day, lines, closed)


def told(report: Report) -> dict[str, Any]:
    owed = rule.debts(report.lines)
    return {
        "date": report.day,
        "closed": {f"{province:02d}": moment for province, moment in report.closed.items()},
        "open_provinces": [f"{province:02d}" for province in report.open_provinces],
        "institutions": [
            {**asdict(line), "province": f"{line.province:02d}", "owed_fen": line.owed_fen} for line in report.lines
        ],
        "regions": [asdict(debt) for debt in owed],
        "positions": [{**asdict(each), "net_fen": each.net_fen} for each in rule.positions(owed)],
        "totals": {name: report.total(name) for name in ("settlements", "settled_fen", "returned_fen", "owed_fen")},
    }


def _write(report: Report) -> None:
    writer = csv.writer(sys.stdout)
    writer.writerow(
        [
            "date",
            "closed",
            "insured_region",
            "institution_id",
            "care_region",
            "settlements",
            "settled_fen",
            "returned_fen",
            "owed_fen",
        ]
    )
    for line in report.lines:
        closed = "yes" if line.province in report.closed else "no"
        place = (line.insured_region, line.institution_id, line.care_region)
        writer.writerow(
            [report.day, closed, *place, line.settlements, line.settled_fen, line.returned_fen, line.owed_fen]
        )


def _show(report: Report, say: Speech) -> None:
    owed = rule.debts(report.lines)
    _table(
        say(f"{report.day}: what regions owe institutions, yuan", f"{report.day} 应付定点医药机构（元）"),
        [
            say(*words)
            for words in (
                ("insured region", "参保地"),
                ("institution", "机构"),
                ("care region", "就医地"),
                ("settlements", "结算笔数"),
                ("settled", "结算"),
                ("returned", "退回"),
                ("owed", "应付"),
            )
        ],
        [
            [line.insured_region, line.institution_id, line.care_region, str(line.settlements)]
            + [yuan(fen) for fen in (line.settled_fen, line.returned_fen, line.owed_fen)]
            for line in report.lines
        ],
    )
    if owed:
        _table(
            say("what pooling areas owe each other, yuan", "统筹区之间应清算（元）"),
            [say("owes", "应付方"), say("to", "应收方"), say("owed", "金额")],
            [[debt.debtor, debt.creditor, yuan(debt.owed_fen)] for debt in owed],
        )
        _table(
            say("where each pooling area stands, yuan", "各统筹区轧差（元）"),
            [say("area", "统筹区"), say("owes", "应付"), say("is owed", "应收"), say("net", "净额")],
            [
                [each.area, yuan(each.owes_fen), yuan(each.is_owed_fen), yuan(each.net_fen)]
                for each in rule.positions(owed)
            ],
        )
    if report.open_provinces:
        still = ", ".join(f"{province:02d}" for province in report.open_provinces)
        console.print(say(f"not closed yet: {still}; more may come", f"尚未日结的省份：{still}，数据可能变化"))


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # As wide as it needs, whatever the terminal: half a sum is worse than a line that wraps.
    needed = console.measure(table, options=console.options.update(max_width=WIDTH_MAX)).maximum
    Console(width=max(console.width, needed), highlight=False).print(table)
