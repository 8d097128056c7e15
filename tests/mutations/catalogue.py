"""Bugs to be planted one at a time, each with the test that must notice it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutation:
    """`before` stands once in `file`, and is replaced by `after`; `caught_by` is a test's node id, without parameters."""

    name: str
    file: str
    before: str
    after: str
    caught_by: str


UNDOING = "tests/integration/test_undoing.py::"
FAILOVER = "tests/faults/test_database_failover.py::"
MUTATIONS = (
    # The five of the design.
    Mutation(
        "a request is acknowledged before it is decided",
        "services/settlement/lane.py",
        "                    settled = await self._decide(batch, stop, wait=line.wait)\n",
        # Once: what is acknowledged twice ends the channel, and that would be noticed anyway.
        "                    if (up_to := max(each.tag for each in batch)) > self.__dict__.get('up_to', 0):\n"
        "                        self.__dict__['up_to'] = up_to\n"
        "                        await type(self._channel).basic_ack(self._channel, up_to, multiple=True, wait=False)\n"
        "                    self._channel.__dict__['basic_ack'] = lambda *_, **__: asyncio.sleep(0)\n"
        "                    settled = await self._decide(batch, stop, wait=line.wait)\n",
        "tests/faults/test_worker.py::test_what_a_killed_worker_had_in_hand_is_answered_by_the_next",
    ),
    Mutation(
        "a name need not be unique",
        "shared/postgres/migrations/0011_books_by_month.sql",
        "CONSTRAINT one_decision_per_request PRIMARY KEY (province, institution_id, request_id)",
        "CONSTRAINT one_decision_per_request CHECK (province >= 0)",
        "tests/faults/test_requests.py::test_a_name_with_another_content_is_refused_while_the_first_is_undecided",
    ),
    Mutation(
        "accounts are locked in the order in which they are found",
        "services/settlement/ledger.sql",
        "ORDER BY account.province, account.person_id\nFOR NO KEY UPDATE OF account;",
        "ORDER BY random()\nFOR NO KEY UPDATE OF account;",
        "tests/integration/test_settlement.py::test_accounts_are_locked_in_one_order",
    ),
    Mutation(
        "the payer is picked before the accounts are locked",
        "services/settlement/handler.py",
        "        journal = await ledger.accounts(connection, wanted, hold, now)\n",
        "        journal = await ledger.accounts(connection, wanted, Hold.READ, now)\n",
        "tests/integration/test_settlement.py::test_the_richest_is_picked_among_balances_that_nobody_can_change",
    ),
    Mutation(
        "two payers are combined",
        "services/settlement/rules.py",
        "        entries.append(payer_entry(request, payer, shortfall_fen))\n",
        # Half each, where another relative has as much to give: every balance allows it, and every sum is right.
        "        others = [each for each in position.candidates if each.binding != payer.binding]\n"
        "        able = [each for each in others if each.usable_fen >= shortfall_fen]\n"
        "        half_fen = shortfall_fen // 2 if able else 0\n"
        "        entries.append(payer_entry(request, payer, shortfall_fen - half_fen))\n"
        "        entries += [payer_entry(request, each, half_fen) for each in able[:1]]\n",
        "tests/unit/settlement/test_mutual_aid.py::test_of_two_who_could_share_a_bill_one_is_debited",
    ),
    # And others.
    Mutation(
        "of two equally rich payers the later bound one pays",
        "shared/domain/mutual_aid.py",
        "    return -seen.usable_fen, binding.bound_at, binding.binding_id\n",
        "    return -seen.usable_fen, datetime.max - binding.bound_at.replace(tzinfo=None), binding.binding_id  # type: ignore\n",
        "tests/unit/settlement/test_mutual_aid.py::test_tie_goes_to_the_binding_made_earliest",
    ),
    Mutation(
        "what a payer must keep is shared as well",
        "shared/domain/mutual_aid.py",
        "    return max(shared_fen - policy.keep_fen, 0)\n",
        "    return max(shared_fen, 0)\n",
        "tests/integration/test_shared_money.py::test_the_richest_is_who_may_share_most",
    ),
    Mutation(
        "another content under a known name is answered as if it were the same",
        "services/settlement/rules.py",
        "    if stored.operation != request.operation or from_json(stored.content) != canonical(request):\n",
        "    if stored.operation != request.operation:\n",
        "tests/integration/test_settlement.py::test_the_same_id_with_other_content_is_refused",
    ),
    Mutation(
        "a request that was cancelled before it came is decided",
        "services/settlement/rules.py",
        "    if stored.is_tombstone:\n        return Rejection(Reason.REQUEST_CANCELLED)\n",
        "    if stored.is_tombstone:\n        return Replay(stored)\n",
        UNDOING + "test_a_cancel_before_its_original_blocks_it",
    ),
    Mutation(
        "a batch does not hold its provinces' authority",
        "shared/postgres/authority.py",
        '    return _transaction(connection, f"BEGIN; {_limit(lock_timeout_ms)}SELECT {locks}")\n',
        '    return _transaction(connection, "BEGIN")\n',
        "tests/integration/test_authority.py::test_a_change_waits_for_the_batch_that_is_deciding",
    ),
    Mutation(
        "a request that waits is acknowledged with those behind it",
        "services/settlement/lane.py",
        "        if in_order and not self._put_aside:\n            await self._channel.basic_ack",
        "        if tags:\n            await self._channel.basic_ack",
        "tests/faults/test_database_rows.py::test_a_request_that_had_to_wait_is_not_acknowledged_in_passing",
    ),
    Mutation(
        "a day that others overtake is acknowledged with them",
        "services/settlement/lane.py",
        "        in_order = not self._overtaken\n",
        "        in_order = True\n",
        "tests/faults/test_long_days.py::test_long_days_keep_neither_the_memory_nor_a_quote",
    ),
    Mutation(
        "what was decided before an outage is answered from memory",
        "services/settlement/lane.py",
        "        results: list[Result] = []\n        while",
        "        results: list[Result] = self.__dict__.setdefault(f'kept {incoming[0].name}', [])\n        while",
        "tests/faults/test_database.py::test_what_was_decided_before_an_outage_is_not_answered_from_memory",
    ),
    Mutation(
        "what the standby lacks is told all the same",
        "services/settlement/handler.py",
        "        elif any(_tells_of_the_past(resolution) for resolution in resolutions):\n",
        "        elif not resolutions:\n",
        FAILOVER + "test_a_worker_that_asks_for_no_standby_tells_nothing_that_it_lacks",
    ),
    Mutation(
        "whoever is stopped cancels a COMMIT",
        "shared/postgres/connection.py",
        '            if query.rstrip(";") == "COMMIT":\n',
        "            if not query:\n",
        FAILOVER + "test_a_command_that_is_interrupted_leaves_its_commit_to_the_server",
    ),
    Mutation(
        "the first host that accepts writes is used",
        "shared/postgres/primary.py",
        "        chosen = max(usable, key=lambda each: each.timeline) if usable else await asking[0]\n",
        "        chosen = usable[0] if usable else await asking[0]\n",
        FAILOVER + "test_nothing_is_written_on_an_old_primary_that_is_back",
    ),
    Mutation(
        "a request in a batch does not see what the one before it took",
        "services/settlement/journal.py",
        "            self.accounts[entry.person] = self.accounts.get(entry.person, EMPTY).plus(entry)\n",
        "            self.accounts.get(entry.person, EMPTY).plus(entry)\n",
        "tests/property/test_batch_order.py::test_one_batch_equals_batches_of_one",
    ),
    Mutation(
        "anybody's reply queue may be named",
        "services/settlement/rules.py",
        '    return sender.user_id is not None and reply_to.startswith(f"reply.{sender.user_id}.")\n',
        '    return sender.user_id is not None and reply_to.startswith("reply.")\n',
        "tests/integration/test_who_may_send.py::test_answers_go_to_nobody_elses_queue",
    ),
    Mutation(
        "an answer that its queue refuses is given up at once",
        "services/settlement/patience.py",
        "        return now - first < PATIENCE_S\n",
        "        return False\n",
        "tests/integration/test_refused_answers.py::test_an_answer_waits_for_a_queue_that_refuses_it",
    ),
    Mutation(
        "a nack is taken for an ack",
        "shared/rabbit/confirms.py",
        "        tap.on_nack = lambda confirm: self._received(confirm, Receipt.REFUSED)\n",
        "        tap.on_nack = lambda confirm: self._received(confirm, Receipt.CONFIRMED)\n",
        "tests/integration/test_refused_answers.py::test_an_answer_waits_for_a_queue_that_refuses_it",
    ),
    Mutation(
        "what was returned is taken for delivered",
        "shared/rabbit/confirms.py",
        "                expected.receive(tag, Receipt.UNROUTABLE)\n",
        "                expected.receive(tag, Receipt.CONFIRMED)\n",
        "tests/faults/test_requests.py::test_the_decision_stands_where_the_reply_queue_is_gone",
    ),
    Mutation(
        "whoever publishes does not wait for the confirm",
        "shared/rabbit/confirms.py",
        "        return expected\n",
        "        expected.complete.set_result([Receipt.CONFIRMED for _ in message_ids])\n        return expected\n",
        "tests/integration/test_client.py::test_a_request_that_is_never_confirmed_may_be_decided",
    ),
    Mutation(
        "any signature will do",
        "shared/messages/signing.py",
        "        return _verify(key, _decoded(signature), content)\n",
        "        return bool(_decoded(signature))\n",
        "tests/unit/messages/test_signing.py::test_everything_else_does_not_hold",
    ),
    Mutation(
        "a binding whose end was acknowledged is shown to a worker that is behind",
        "shared/postgres/migrations/0021_an_end_by_every_clock.sql",
        "WHERE\n    ended_at IS NULL\n",
        "WHERE\n    true OR ended_at IS NULL\n",
        "tests/faults/test_clocks.py::test_a_worker_that_is_behind_pays_by_nothing_that_was_ended",
    ),
    Mutation(
        "an exception is logged in its own words",
        "shared/telemetry/logging.py",
        "        structlog.processors.ExceptionRenderer(without_words),\n",
        "        structlog.processors.format_exc_info,\n",
        "tests/faults/test_poison.py::test_a_request_that_postgresql_fails_on_is_found_by_halving",
    ),
    Mutation(
        "who is cancelled asks the database first",
        "shared/postgres/pool.py",
        "            abandon(connection)\n",
        "",
        "tests/integration/test_batches.py::test_a_handler_that_is_cancelled_says_so_whatever_the_database_does",
    ),
    Mutation(
        "a quote reads balances and limits at different moments",
        "shared/postgres/authority.py",
        "BEGIN ISOLATION LEVEL REPEATABLE READ; ",
        "BEGIN; ",
        "tests/integration/test_wallet.py::test_a_quote_sees_balances_and_limits_of_one_moment",
    ),
    Mutation(
        "an inquiry does not hold the tables that it reads",
        "shared/postgres/authority.py",
        "{_limit(lock_timeout_ms)}{tables}",
        "{_limit(lock_timeout_ms)}",
        "tests/integration/test_one_moment.py::test_what_is_moved_into_its_month_meanwhile_is_found",
    ),
    Mutation(
        "a quote leaves out a gift that is the patient's and has not arrived",
        "services/settlement/handler.py",
        "                journal.count(transfer)\n",
        "                pass\n",
        "tests/integration/test_wallet.py::test_a_quote_counts_what_was_accepted_and_moves_nothing",
    ),
)
