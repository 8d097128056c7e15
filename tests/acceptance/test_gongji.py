"""The whole stack from outside: the `gongji` command, HTTP and messages, processes killed and started again."""

import asyncio
import json
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import psutil
import pytest
import yaml
from aiormq.exceptions import ProbableAuthenticationError
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from shared.domain.times import SHANGHAI
from shared.rabbit.connection import connect, open_channel
from shared.rabbit.publisher import Outgoing, Publisher
from shared.rabbit.topology import REQUESTS
from tests.support.stacks import Stack

TILL = ("--institution", "H1", "--region", "130100")
RESIDENT = {"name": "某人", "id_number": "130102199003070099", "region_code": "130100", "insurance": "resident"}
# Hebei's policy, with a wallet that is open at any hour.
NEVER_CLOSED = {"scope": "province", "wallet": {"closed_from": "00:00", "closed_until": "00:00"}}
AGENCY = ("--institution", "A1", "--region", "130100")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Up once for this module, with a family; down and gone afterwards."""
    started = Stack(tmp_path_factory.mktemp("stack"))
    started.run("up", "--workers", "2")
    try:
        for institution, kind in (("H1", "hospital"), ("A1", "agency")):
            body = {"name": institution, "kind": kind, "region_code": "130100"}
            started.call("operator", "PUT", f"/v1/institutions/{institution}", body).raise_for_status()
        for number, (person, insurance) in enumerate(
            (("CHILD", "resident"), ("MOTHER", "employee"), ("FATHER", "employee"))
        ):
            body = {
                "name": "某人",
                "id_number": f"13010219900307{number:04d}",
                "region_code": "130100",
                "insurance": insurance,
            }
            started.call("feed", "PUT", f"/v1/persons/{person}", body).raise_for_status()
        for payer in ("MOTHER", "FATHER"):
            body = {"payer_id": payer, "beneficiary_id": "CHILD", "relation": "son"}
            started.call("clerk", "POST", "/v1/bindings", body).raise_for_status()
        started.json("credit", *AGENCY, "--person", "MOTHER", "--amount-fen", "100000")
        started.json("credit", *AGENCY, "--person", "FATHER", "--amount-fen", "200000", "--fund", "prior_years")
        yield started
    finally:
        started.run("down")


def test_a_bill_is_settled_explained_and_proven(stack: Stack) -> None:
    """settle, the same again, another content, lookup, explain, audit: as the contract says."""
    # A child of this test's own, who has no account whatever the other tests on this stack have done.
    stack.call("feed", "PUT", "/v1/persons/BABY", RESIDENT).raise_for_status()
    for payer in ("MOTHER", "FATHER"):
        body = {"payer_id": payer, "beneficiary_id": "BABY", "relation": "daughter"}
        stack.call("clerk", "POST", "/v1/bindings", body).raise_for_status()
    bill = (*TILL, "--person", "BABY", "--amount-fen", "12850", "--occurred-at", "2026-11-22T09:30:00+08:00")
    settled = stack.json("settle", *bill, "--request-id", "bill-1")
    again = stack.json("settle", *bill, "--request-id", "bill-1")
    conflict = stack.json("settle", *bill, "--request-id", "bill-1", "--require-full", code=1)
    found = stack.json("lookup", *TILL, "bill-1")
    story = stack.json("explain", settled["settlement_id"])
    proven = stack.json("audit")

    assert (settled["outcome"], settled["payer_id"], settled["mutual_aid_fen"]) == ("settled", "FATHER", 12850)
    assert again == {**settled, "replayed": True}
    assert conflict["reason"] == "request_conflict"
    assert found["original"] == settled
    assert [seen["payer_id"] for seen in story["candidates"]] == ["FATHER", "MOTHER"]
    assert story["candidates"][0]["usable_fen"] > story["candidates"][1]["usable_fen"] == 100_000
    assert story["locked"] == ["FATHER", "MOTHER"]
    assert proven["holds"]


def test_a_decision_is_decided_again_and_the_day_is_cleared(stack: Stack) -> None:
    """The same answer by the rule of today; the day's sums are the ledger's; the chain grows by itself."""
    settled = stack.json("settle", *TILL, "--person", "CHILD", "--amount-fen", "4200", "--care-region", "330100")
    again = stack.json("explain", settled["settlement_id"], "--recheck")
    said = stack.run("explain", settled["settlement_id"], "--recheck", "--lang", "zh")
    decided_at = datetime.fromisoformat(settled["decided_at"]).astimezone(SHANGHAI)
    today, yesterday = (f"{(decided_at - timedelta(days=ago)).date()}" for ago in (0, 1))

    cleared = stack.json("clearing", "--date", today)
    before = stack.json("clearing", "--date", yesterday)
    lines = stack.run("clearing", "--date", today, "--csv").splitlines()
    shown = stack.run("clearing", "--date", today, "--lang", "zh")
    tomorrow = stack.run("clearing", "--date", "2999-01-01", code=2)
    proven = _until_sealed(stack)
    head = f"{proven['province']}:{proven['seal_no']}:{proven['hash']}"

    assert again["recheck"] == {"result": "same", "differences": {}, "why_not": None}
    assert "答复一致" in said
    assert "裁定：全额支付" in said
    # Nobody is at a terminal of eighty columns: no sum and no id is cut for it.
    assert "…" not in said + shown
    # The stack may have been started before midnight.
    assert sum(each["totals"]["owed_fen"] for each in (cleared, before)) == stack.json("audit")["totals"]["payable_fen"]
    assert ("1301", "3301") in {(each["debtor"], each["creditor"]) for each in cleared["regions"]}
    assert lines[0].startswith("date,closed,insured_region,institution_id,care_region")
    assert any(line.startswith(f"{today},no,130100,H1,330100,") for line in lines)
    assert "统筹区之间应清算" in shown
    assert "2999-01-01" in tomorrow
    assert stack.json("audit", "--head", head)["holds"]
    assert "BROKEN" in stack.run("audit", "--head", f"13:1:{'0' * 64}", code=1)


def _until_sealed(stack: Stack) -> Any:
    """The head of the chain once nothing waits to be sealed."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        (proven,) = (each for each in stack.json("audit")["proven_up_to"] if each["province"] == 13)
        if proven["unsealed_transactions"] == 0:
            return proven
    raise AssertionError("transactions wait to be sealed, and nobody seals them")


def test_it_speaks_both_languages(stack: Stack) -> None:
    """The reason is a sentence in the terminal's language, or in the one asked for."""
    bill = ("quote", *TILL, "--person", "CHILD", "--amount-fen", "99999999")

    english = stack.run(*bill)
    chinese = stack.run(*bill, "--lang", "zh")
    proven = stack.run("audit", "--lang", "zh")

    assert "payers are never combined" in english
    assert "未支付" in chinese
    assert "共济不能多人拼付" in chinese
    assert "账户余额等于分录之和" in proven


def test_repeating_a_request_id_repeats_the_request(stack: Stack) -> None:
    """Nothing else has to be said again: the hour is not part of what differs."""
    bill = (*TILL, "--person", "CHILD", "--amount-fen", "3", "--request-id", "bill-again")

    first, second = stack.json("settle", *bill), stack.json("settle", *bill)

    assert second == {**first, "replayed": True}


def test_a_payment_is_given_back_undone_and_reconciled(stack: Stack, tmp_path: Path) -> None:
    """refund, cancel, lookup and reconcile from the command line, at a till of its own; a day that differs exits with 1."""
    body = {"name": "H7", "kind": "hospital", "region_code": "130100"}
    stack.call("operator", "PUT", "/v1/institutions/H7", body).raise_for_status()
    till = ("--institution", "H7", "--region", "130100")
    for number in (1, 2):
        stack.json("settle", *till, "--person", "CHILD", "--amount-fen", "300", "--request-id", f"day-{number}")

    part = stack.json("refund", *till, "day-1", "--amount-fen", "100")
    undone = stack.json("cancel", *till, "day-1")
    unknown = stack.json("cancel", *till, "day-3")
    found = stack.json("lookup", *till, "day-1")
    story = stack.json("explain", found["original"]["settlement_id"])
    told = stack.run("explain", "130100/H7/day-1")
    lines = tmp_path / "day.csv"
    lines.write_text("request_id,account_fen,mutual_aid_fen\nday-1,300,300\nday-2,200,200\n", encoding="utf-8")
    day = f"{datetime.now(SHANGHAI):%Y-%m-%d}"
    totals = ("--account-fen", "600", "--mutual-aid-fen", "600", "--refunded-fen", "300")
    closes = stack.json("reconcile", *till, day, "--count", "2", *totals)
    differs = stack.json("reconcile", *till, day, "--count", "2", *totals, "--lines", str(lines), code=1)
    said = stack.run("reconcile", *till, day, "--count", "2", *totals, "--lines", str(lines), "--lang", "zh", code=1)

    assert (part["outcome"], part["amount_fen"], part["payer_id"]) == ("refunded", 100, "FATHER")
    assert (undone["effect"], undone["amount_fen"], unknown["effect"]) == ("reversed", 200, "blocked")
    assert (found["cancelled"], found["refunded_fen"]) == (True, 300)
    assert [(each["kind"], each["contra_fen"]) for each in story["later"]] == [("refund", -100), ("refund", -200)]
    assert story["cancelled_by"] == undone["request_id"]
    assert f"Cancelled by {undone['request_id']}" in told
    assert closes["outcome"] == "balanced"
    assert [(each["request_id"], each["kind"]) for each in differs["differences"]] == [("day-2", "different")]
    assert "金额不一致" in said
    assert stack.json("audit")["holds"]


def test_money_is_given_to_a_wallet_and_the_year_is_turned(stack: Stack) -> None:
    """A transfer waits for its receiver; the present year has nothing to turn, and the next has not begun."""
    year = datetime.now(SHANGHAI).year
    stack.call("operator", "PUT", "/v1/regions/1301/policy", NEVER_CLOSED).raise_for_status()
    bound = {"payer_id": "FATHER", "beneficiary_id": "MOTHER", "relation": "spouse", "wallet": True}
    stack.call("clerk", "POST", "/v1/bindings", bound).raise_for_status()

    given = stack.json("transfer", *AGENCY, "--from", "FATHER", "--to", "MOTHER", "--amount-fen", "500")
    turned = stack.json("rollover", "--year", str(year))
    refused = stack.run("rollover", "--year", str(year + 1), code=2)

    assert (given["outcome"], given["amount_fen"]) == ("pending", 500)
    assert turned == {"year": year, "accounts": 0, "moved_fen": 0}
    assert f"{year + 1} has not begun in Shanghai" in refused
    assert stack.json("audit")["totals"]["in_transit_fen"] == 500


def test_an_institution_signs_what_it_sends(stack: Stack, tmp_path: Path) -> None:
    """The key that it is registered with, and another one under the same name."""
    mine, others = tmp_path / "mine" / "till-1.pem", tmp_path / "others" / "till-1.pem"
    for file in (mine, others):
        file.parent.mkdir()
        private = Ed25519PrivateKey.generate()
        file.write_bytes(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        file.with_suffix(".pub").write_bytes(public)
    quote = ("quote", "-i", "SIGNS", "-r", "130100", "--person", "CHILD", "--amount-fen", "1", "--json")

    added = ("institution", "add", "SIGNS", "--kind", "pharmacy", "--region", "130100")
    stack.run(*added, "--name", "Signs", "--signing-key", str(mine.with_suffix(".pub")))
    signed = json.loads(stack.run(*quote, GONGJI_SIGNING_KEY_FILE=str(mine)))
    forged = json.loads(stack.run(*quote, code=1, GONGJI_SIGNING_KEY_FILE=str(others)))
    private_half = stack.run(*added, "--signing-key", str(mine), code=2)
    stack.run(*added)
    still_forged = json.loads(stack.run(*quote, code=1, GONGJI_SIGNING_KEY_FILE=str(others)))
    stack.run(*added, "--unsigned")
    unsigned = json.loads(stack.run(*quote))

    assert signed["outcome"] == "settled"
    assert forged["reason"] == "signature_invalid"
    assert "no public key to check signatures with" in private_half
    assert still_forged["reason"] == "signature_invalid"
    assert unsigned["outcome"] == "settled"


def test_an_institution_is_let_in_and_shut_out(stack: Stack) -> None:
    """A user of its own with a password that is shown once; it sends as that user; then it is gone."""
    said = ("institution", "add", "CLINIC", "--kind", "pharmacy", "--region", "130100")

    made, again = stack.json(*said, "--name", "Clinic"), stack.json(*said)
    answer = stack.json("settle", "-i", "CLINIC", "-r", "130100", "--person", "CHILD", "--amount-fen", "1")
    renewed = stack.json("institution", "new-password", "CLINIC", "--kind", "pharmacy")
    stack.run("institution", "shut-out", "CLINIC")
    refused = [
        stack.run("institution", "add", *who, "--kind", "pharmacy", "--region", "130100", code=code)
        for who, code in ((("a.b",), 2), (("#", "--user", "x"), 2), (("X", "--user", "gongji"), 1))
    ]

    assert made["amqp_url"].startswith(f"amqp://CLINIC:{made['password']}@")
    assert (again["password"], again["amqp_url"]) == (None, None)
    assert (made["reply_queue"], made["results_queue"]) == ("reply.CLINIC.answers", "results.CLINIC")
    assert answer["outcome"] == "settled"
    assert renewed["password"] != made["password"]
    assert [
        "'a.b' is no user's name" in refused[0],
        "'#' is no institution's id" in refused[1],
        "gongji is a user of another kind" in refused[2],
    ] == [True] * 3
    with pytest.raises(ProbableAuthenticationError):
        asyncio.run(connect([renewed["amqp_url"]], name="tests"))


def test_nobody_is_registered_with_somebody_elses_user(stack: Stack) -> None:
    """A service's, another institution's, and that of one that was shut out: refused, and the register is as it was."""
    kind = ("--kind", "pharmacy", "--region", "130100")
    for institution in ("MINE", "THEIRS", "GONE"):
        stack.run("institution", "add", institution, *kind, "--name", institution)
    stack.run("institution", "shut-out", "GONE")
    before = _institutions(stack)

    said = {
        user: stack.run("institution", "add", who, *kind, "--name", "Taken over", "--user", user, code=1)
        for who, user in (("MINE", "gongji"), ("MINE", "THEIRS"), ("NEW", "GONE"))
    }

    assert "gongji is a user of another kind" in said["gongji"]
    assert "THEIRS reads the results of *.*.THEIRS" in said["THEIRS"]
    assert "amqp_user: is the user of GONE" in said["GONE"]
    assert _institutions(stack) == before


def test_who_is_suspended_stays_so(stack: Stack) -> None:
    """Let in again for another key, another region: neither lifts a suspension nor changes the name."""
    added = ("institution", "add", "LATE", "--kind", "pharmacy", "--region")

    stack.run(*added, "130100", "--name", "Late", "--status", "suspended")
    stack.run(*added, "130200")

    assert ("LATE", "Late", "130200", "LATE", "suspended") in _institutions(stack)


def _institutions(stack: Stack) -> list[tuple[Any, ...]]:
    async def rows() -> list[tuple[Any, ...]]:
        connection = await asyncpg.connect(stack.json("env")["GONGJI_DATABASE_URL"])
        found = await connection.fetch(
            "SELECT institution_id, name, region_code, amqp_user, status FROM registry.institutions ORDER BY 1"
        )
        await connection.close()
        return [tuple(row) for row in found]

    return asyncio.run(rows())


@pytest.mark.parametrize("file", ["hebei.yaml", "regions.yaml", "afterwards.yaml"])
def test_a_scenario_is_played_on_the_running_stack_again_and_again(stack: Stack, file: str) -> None:
    """Every run has ids of its own."""
    said = [stack.run("play", "--file", f"examples/{file}") for _ in range(2)]

    assert all("every step came out as listed" in each for each in said)


def test_what_comes_out_otherwise_than_listed_is_told(stack: Stack, tmp_path: Path) -> None:
    """Exit code 1; every kind of step can fail, and only what is wrong is marked."""
    wrong = {
        "regions.yaml": {
            "ask": {"outcome": "settled", "payer": "HE-MOTHER"},
            "bind": {"refused": ["self_binding"]},
            "end": {"refused": ["bound_too_recently"]},
            "transfer": {"outcome": "transferred"},
            "accept": {"state": "returned"},
            "diagnose": {"possible": True},
            "enrol": {},
        },
        "afterwards.yaml": {
            "refund": {"outcome": "refunded"},
            "cancel": {"outcome": "cancelled", "effect": "reversed"},
            "lookup": {"outcome": "found", "original": "settled", "cancelled": False},
            "reconcile": {"outcome": "balanced", "wrong_lines": {"hd-01": "missing_there"}},
        },
    }
    files, steps = [], 0
    for name, expectations in wrong.items():
        scenario = yaml.safe_load(Path("examples", name).read_text(encoding="utf-8"))
        last_of_each = {verb: step for step in scenario["steps"] for verb in expectations if verb in step}
        for verb, step in last_of_each.items():
            step["expect"] = expectations[verb]
        files.append(tmp_path / name)
        files[-1].write_text(yaml.safe_dump(scenario, allow_unicode=True), encoding="utf-8")
        steps += len(scenario["steps"])

    said = stack.run("play", *(word for file in files for word in ("--file", str(file))), code=1)

    assert f"{7 + 4} of {steps} steps came out otherwise than listed" in said
    assert said.count("✗") == 7 + 4
    assert "refused: expected ['bound_too_recently'], got []" in said
    assert "outcome: expected 'transferred', got 'pending'" in said
    assert "outcome: expected 'refunded', got 'declined'" in said
    assert "effect: expected 'reversed', got 'blocked'" in said
    assert "cancelled: expected False, got True" in said
    assert "every step came out as listed" not in said


def test_a_scenario_that_cannot_be_read_is_refused(stack: Stack, tmp_path: Path) -> None:
    """Exit code 2 and the field, before anything is registered."""
    file = tmp_path / "broken.yaml"
    file.write_text("title: {en: x, zh: 示例}\nsteps: [{title: {en: x, zh: 示例}, hop: {}}]\n", encoding="utf-8")

    said = stack.run("play", "--file", str(file), code=2)

    assert "broken.yaml: " in said
    assert "steps.0: a step has one of: ask" in said
    assert "Traceback" not in said


def test_up_is_not_misled_by_its_own_environment(stack: Stack) -> None:
    """After `eval "$(gongji env)"` the stack's urls are in the environment; they are its own, not given servers."""
    before = stack.json("env")

    stack.run("up", "--workers", "2", **{name: before[name] for name in ("GONGJI_DATABASE_URL", "GONGJI_AMQP_URL")})

    assert stack.json("env") == before


def test_a_policy_file_is_loaded_and_shown(stack: Stack) -> None:
    """Before, the shipped default holds; afterwards the file's, from its date on."""
    before = stack.json("policy", "show", "350100")
    checked = stack.run("policy", "check", "examples/policies/fujian.yaml")
    loaded = stack.run("policy", "load", "examples/policies/fujian.yaml")

    after = stack.json("policy", "show", "350100")
    earlier = stack.json("policy", "show", "350100", "--on", "2023-12-31")
    listed = [each["name"] for each in stack.json("policy", "list")]

    assert "35 can be put" in checked
    assert "put 35@1, effective 2024-01-01" in loaded
    assert (before["name"], after["name"], earlier["name"]) == ("default@0", "35@1", "default@0")
    assert after["keep_fen"] == 200_000
    assert {"13@0", "35@1", "default@0"} <= set(listed)


def test_a_whole_day_is_compared_from_a_file(stack: Stack, tmp_path: Path) -> None:
    """A wrong line is named; what differs is shown, and written to a file; a day without settlements is balanced."""
    settled = stack.json("settle", *TILL, "--person", "CHILD", "--amount-fen", "70", "--request-id", "day-1")
    today = datetime.fromisoformat(settled["decided_at"]).astimezone(SHANGHAI).date().isoformat()
    file, out = tmp_path / "day.csv", tmp_path / "differences.csv"
    file.write_text("request_id,account_fen,mutual_aid_fen\nday-1,0.70,70\n")
    wrong = stack.run("reconcile-file", str(file), *TILL, "--date", today, code=1)
    file.write_text("request_id,account_fen,mutual_aid_fen\nday-1,70,69\n")
    said = stack.run("reconcile-file", str(file), *TILL, "--date", today, "--out", str(out), "--lang", "zh", code=1)
    file.write_text("request_id,account_fen,mutual_aid_fen\n")
    balanced = stack.json("reconcile-file", str(file), *TILL, "--date", "2020-01-01")

    assert "line 2: account_fen must be whole fen" in wrong
    assert "不平 differs" in said
    assert "金额不一致" in said
    assert f"day-1,different,{settled['settlement_id']},70,70,70,69" in out.read_text()
    assert balanced["state"] == "balanced"


def test_wrong_words_are_refused_in_one_sentence(stack: Stack) -> None:
    """Exit code 2, the option and what it should be; no traceback."""
    said = stack.run("settle", *TILL, "--person", "CHILD", "--amount-fen", "0", code=2)
    member = stack.run("token", "--role", "member", code=2)
    institution = stack.run("token", "--role", "institution", code=2)
    unknown = stack.run("explain", "13-00000000000000000000000000000000", code=1)

    assert "amount_fen: Input should be greater than or equal to 1" in said
    assert "add --person" in member
    assert "add --institution" in institution
    assert "there is no decision" in unknown
    assert "Traceback" not in said + member + unknown


def test_without_a_stack_it_says_what_to_do(tmp_path: Path) -> None:
    """No url is guessed."""
    said = Stack(tmp_path).run("settle", *TILL, "--person", "CHILD", "--amount-fen", "1", code=2)

    assert "run `gongji up`" in said


@pytest.mark.parametrize("name", ["settlement-1", "bulk", "inquiry", "binding", "bookkeeping", "postgres", "rabbitmq"])
def test_what_dies_is_started_again(stack: Stack, name: str) -> None:
    """Killed with -9: another pid, and a bill is settled as before."""
    before = stack.pid(name)

    psutil.Process(before).kill()
    deadline = time.monotonic() + 90
    settled = None
    while settled is None and time.monotonic() < deadline:
        settled = _settled_within(stack, 10)

    assert settled is not None
    assert settled["outcome"] == "settled"
    assert stack.pid(name) != before
    assert stack.json("audit")["holds"]


def test_a_dead_letter_is_listed_shown_replayed_and_discarded(stack: Stack) -> None:
    """What could not be read waits for a person."""
    environment = stack.json("env")
    _publish(environment["GONGJI_AMQP_URL"], b"{")
    letter = _one_letter(stack)

    shown = stack.json("dead", "show", letter["id"])
    stack.run("dead", "replay", letter["id"])
    back = _one_letter(stack)
    stack.run("dead", "discard", back["id"], "--yes")

    assert (letter["reason"], letter["queue"], letter["bytes"]) == ("malformed", "gongji.settlement", 1)
    assert shown["body"] == "{"
    assert back["id"] == letter["id"]
    assert stack.json("dead", "list") == []


def test_the_probes_and_metrics_of_each_process_answer(stack: Stack) -> None:
    """healthz, readyz and metrics; what was settled is counted."""
    environment = stack.json("env")
    urls = [environment["GONGJI_BINDING_URL"], *environment["GONGJI_SETTLEMENT_URLS"].split(",")]
    stack.json("settle", *TILL, "--person", "CHILD", "--amount-fen", "1")

    statuses = {httpx.get(url + path).status_code for url in urls for path in ("/healthz", "/readyz", "/metrics")}
    counted = "".join(httpx.get(url + "/metrics").text for url in urls)

    assert statuses == {200}
    for name in ("gongji_requests_total", "gongji_batch_requests", "gongji_stage_seconds", "gongji_queue_messages"):
        assert name in counted
    assert "CHILD" not in counted


async def test_an_audit_finds_what_was_tampered_with(stack: Stack) -> None:
    """A balance changed behind the ledger's back: exit 1, and the row."""
    database = await asyncpg.connect(stack.json("env")["GONGJI_DATABASE_URL"])
    await database.execute("UPDATE ledger.accounts SET wallet_fen = wallet_fen + 1 WHERE person_id = 'MOTHER'")

    found = stack.json("audit", code=1)
    await database.execute("UPDATE ledger.accounts SET wallet_fen = wallet_fen - 1 WHERE person_id = 'MOTHER'")
    await database.close()

    assert not found["holds"]
    assert [row["person_id"] for row in found["broken"]["balances_equal_entries"]] == ["MOTHER"]
    assert stack.json("audit")["holds"]


def test_up_on_a_running_stack_and_down_on_none(stack: Stack, tmp_path: Path) -> None:
    """Both are harmless."""
    before = stack.json("env")

    stack.run("up", "--workers", "2")

    assert stack.json("env") == before
    assert "nothing was running" in Stack(tmp_path).run("down")


def test_no_log_names_anybody(stack: Stack) -> None:
    """Not a name, not an ID number, not a password, in any log of the services."""
    logs = Path(stack.environment["GONGJI_STATE_DIR"], "logs")
    password = stack.json("env")["GONGJI_AMQP_URL"].split(":")[2].split("@")[0]

    for log in (
        *logs.glob("settlement-*.log"),
        *(logs / f"{name}.log" for name in ("bulk", "inquiry", "binding", "bookkeeping")),
    ):
        text = log.read_text(encoding="utf-8")
        assert text
        assert "某人" not in text
        assert "13010219900307" not in text
        assert password not in text


def test_the_demo_plays_and_stops_what_it_started(tmp_path: Path) -> None:
    """All three acts, in Chinese, on servers of its own; every step as listed, the ledger proven once, nothing left running."""
    demo = Stack(tmp_path)

    said = demo.run("demo", "--lang", "zh")

    assert "全部结果与预期一致" in said
    assert said.count("✓") == 11 + 20 + 11
    assert "录入地区政策（此后一直有效）：3397@1" in said
    assert "✗" not in said
    assert said.count("账实相符") == 1
    assert not [
        each for each in psutil.process_iter(["cmdline"]) if str(tmp_path) in " ".join(each.info["cmdline"] or [])
    ]


def _settled_within(stack: Stack, timeout_s: int) -> dict[str, Any] | None:
    bill = ("--person", "CHILD", "--amount-fen", "1", "--timeout", str(timeout_s))
    done = stack.done("settle", *TILL, *bill, "--json")
    answer: dict[str, Any] | None = json.loads(done.stdout) if done.returncode == 0 else None
    return answer


def _publish(amqp_url: str, body: bytes) -> None:
    async def publish() -> None:
        connection = await connect([amqp_url], name="tests")
        channel = await open_channel(connection, confirms=True)
        await Publisher(channel).publish([Outgoing(REQUESTS, "settle.130100", body, type="settle")])
        await connection.close()

    asyncio.run(publish())


def _one_letter(stack: Stack) -> dict[str, Any]:
    """The dead letter there is, once it is there."""
    deadline = time.monotonic() + 20
    letters: list[dict[str, Any]] = []
    while not letters and time.monotonic() < deadline:
        letters = stack.json("dead", "list")
    (letter,) = letters
    return letter
