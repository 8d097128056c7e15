-- The proof of the ledger. Each query returns the rows that break one invariant of the contract; none, if it holds.

-- name: entries_sum_to_zero
-- Money is conserved: what a movement's entries take from the funds is what the institution's contra account gets.
SELECT province, movement_id, sum(current_year_fen + prior_years_fen + wallet_fen + contra_fen) AS rest_fen
FROM ledger.entries
GROUP BY province, movement_id
HAVING sum(current_year_fen + prior_years_fen + wallet_fen + contra_fen) <> 0;

-- name: balances_equal_entries
-- Every balance is the sum of its entries, fund by fund.
SELECT
    province,
    person_id,
    coalesce(account.current_year_fen, 0) AS current_year_fen,
    coalesce(account.prior_years_fen, 0) AS prior_years_fen,
    coalesce(account.wallet_fen, 0) AS wallet_fen,
    coalesce(entered.current_year_fen, 0) AS entered_current_year_fen,
    coalesce(entered.prior_years_fen, 0) AS entered_prior_years_fen,
    coalesce(entered.wallet_fen, 0) AS entered_wallet_fen
FROM ledger.accounts AS account
FULL JOIN (
    SELECT
        province,
        person_id,
        sum(current_year_fen) AS current_year_fen,
        sum(prior_years_fen) AS prior_years_fen,
        sum(wallet_fen) AS wallet_fen
    FROM ledger.entries
    GROUP BY province, person_id
) AS entered USING (province, person_id)
WHERE
    coalesce(account.current_year_fen, 0) <> coalesce(entered.current_year_fen, 0)
    OR coalesce(account.prior_years_fen, 0) <> coalesce(entered.prior_years_fen, 0)
    OR coalesce(account.wallet_fen, 0) <> coalesce(entered.wallet_fen, 0);

-- name: no_balance_is_negative
-- Nobody owes the fund anything.
SELECT province, person_id, current_year_fen, prior_years_fen, wallet_fen
FROM ledger.accounts
WHERE current_year_fen < 0 OR prior_years_fen < 0 OR wallet_fen < 0;

-- name: one_decision_per_request
-- A request's name stands for one decision, and each decision has its name.
SELECT
    coalesce(name.province, decision.province) AS province,
    coalesce(name.institution_id, decision.institution_id) AS institution_id,
    coalesce(name.request_id, decision.request_id) AS request_id,
    name.decision_id AS named_id,
    decision.decision_id
FROM ledger.names AS name
FULL JOIN ledger.decisions AS decision
    ON name.province = decision.province AND name.decision_id = decision.decision_id
WHERE (name.institution_id, name.request_id) IS DISTINCT FROM (decision.institution_id, decision.request_id);

-- name: every_movement_was_decided
-- No entry without the decision that made it.
SELECT entry.province, entry.movement_id, entry.institution_id, entry.request_id
FROM ledger.entries AS entry
-- What undoes a transfer is decided in the giver's province, also where it takes from a wallet in another.
LEFT JOIN ledger.transfers AS transfer
    ON entry.kind = 'transfer_reversal' AND transfer.transfer_id = entry.original_id
LEFT JOIN ledger.decisions AS decision
    ON decision.province = coalesce(transfer.province, entry.province)
    AND decision.decision_id = entry.movement_id
    AND decision.institution_id = entry.institution_id
    AND decision.request_id = entry.request_id
WHERE entry.institution_id IS NOT NULL AND decision.moved IS NOT true;

-- name: every_decision_moved_what_it_says
-- What an answer says was paid is what the entries took, and from whom.
SELECT
    decision.province,
    decision.institution_id,
    decision.request_id,
    decision.outcome,
    moved.own_account_fen,
    moved.wallet_fen,
    moved.mutual_aid_fen
FROM ledger.decisions AS decision
LEFT JOIN LATERAL (
    SELECT
        coalesce(-sum(current_year_fen + prior_years_fen) FILTER (WHERE binding_id IS NULL), 0) AS own_account_fen,
        coalesce(-sum(entry.wallet_fen), 0) AS wallet_fen,
        coalesce(-sum(current_year_fen + prior_years_fen) FILTER (WHERE binding_id IS NOT NULL), 0) AS mutual_aid_fen,
        max(person_id) FILTER (WHERE binding_id IS NULL) AS patient_id,
        max(person_id) FILTER (WHERE binding_id IS NOT NULL) AS payer_id
    FROM ledger.entries AS entry
    WHERE entry.province = decision.province AND entry.movement_id = decision.decision_id
) AS moved ON true
WHERE
    decision.operation = 'settle'
    AND (
        (decision.answer ->> 'own_account_fen')::bigint <> moved.own_account_fen
        OR (decision.answer ->> 'wallet_fen')::bigint <> moved.wallet_fen
        OR (decision.answer ->> 'mutual_aid_fen')::bigint <> moved.mutual_aid_fen
        OR (decision.answer ->> 'payer_id') IS DISTINCT FROM moved.payer_id
        OR coalesce(moved.patient_id, decision.request ->> 'person_id') <> decision.request ->> 'person_id'
        OR (decision.outcome IN ('settled', 'partial')) <> decision.moved
    );

-- name: every_credit_moved_what_it_says
-- A credit paid in what was asked, to whom it was asked.
SELECT decision.province, decision.institution_id, decision.request_id, decision.outcome
FROM ledger.decisions AS decision
LEFT JOIN ledger.entries AS entry
    ON entry.province = decision.province AND entry.movement_id = decision.decision_id
WHERE
    decision.operation = 'credit'
    AND (
        (decision.outcome = 'credited') <> (entry.movement_id IS NOT NULL)
        OR (
            entry.movement_id IS NOT NULL
            AND (
                entry.person_id <> decision.request ->> 'person_id'
                OR -entry.contra_fen <> (decision.request ->> 'amount_fen')::bigint
            )
        )
    );

-- name: every_transfer_moved_what_it_says
-- A transfer took from the giver what it says, and went once: to the receiver's wallet, back, or nowhere yet.
SELECT
    transfer.province,
    transfer.transfer_id,
    transfer.state,
    given.current_year_fen,
    given.prior_years_fen,
    ended.person_id,
    ended.contra_fen
FROM ledger.transfers AS transfer
LEFT JOIN ledger.entries AS given
    ON given.province = transfer.province
    AND given.movement_id = transfer.transfer_id
    AND given.person_id = transfer.from_person_id
    AND given.kind = 'transfer'
LEFT JOIN ledger.entries AS ended
    ON ended.movement_id = transfer.closed_movement_id
    AND (ended.province, ended.person_id, ended.kind) = (
        CASE WHEN transfer.state IN ('arrived', 'cancelled') THEN transfer.to_province ELSE transfer.province END,
        CASE WHEN transfer.state IN ('arrived', 'cancelled') THEN transfer.to_person_id ELSE transfer.from_person_id END,
        CASE WHEN transfer.state IN ('arrived', 'cancelled') THEN 'arrival' ELSE 'return' END
    )
WHERE
    (given.current_year_fen, given.prior_years_fen)
    IS DISTINCT FROM (-transfer.current_year_fen, -transfer.prior_years_fen)
    OR coalesce(ended.contra_fen, 0) <> CASE
        WHEN transfer.state IN ('arrived', 'cancelled', 'returned') THEN -(transfer.current_year_fen + transfer.prior_years_fen)
        ELSE 0
    END;

-- name: every_arrival_was_given
-- Nothing arrives or returns that no transfer sent, and a decided transfer is there.
SELECT entry.province, entry.movement_id, entry.person_id, entry.kind
FROM ledger.entries AS entry
LEFT JOIN ledger.transfers AS transfer
    ON transfer.province = entry.province AND transfer.transfer_id = entry.movement_id
WHERE entry.kind = 'transfer' AND transfer.transfer_id IS NULL
UNION ALL
SELECT entry.province, entry.movement_id, entry.person_id, entry.kind
FROM ledger.entries AS entry
LEFT JOIN ledger.transfers AS transfer ON transfer.closed_movement_id = entry.movement_id
WHERE entry.kind IN ('arrival', 'return') AND transfer.transfer_id IS NULL;

-- name: nothing_is_given_back_twice
-- Of no settlement more was given back than was paid, part for part in sum, and what is left is written down as it is.
SELECT
    paid.province,
    paid.movement_id,
    paid.person_id,
    paid.contra_fen AS paid_fen,
    back.contra_fen AS back_fen,
    remainder.current_year_fen + remainder.prior_years_fen + remainder.wallet_fen AS left_fen
FROM ledger.entries AS paid
INNER JOIN (
    SELECT province, original_id, person_id, -sum(contra_fen) AS contra_fen
    FROM ledger.entries
    WHERE kind IN ('refund', 'refund_reversal')
    GROUP BY province, original_id, person_id
) AS back
    ON back.province = paid.province
    AND back.original_id = paid.movement_id
    AND back.person_id = paid.person_id
LEFT JOIN ledger.remainders AS remainder
    ON remainder.province = paid.province
    AND remainder.movement_id = paid.movement_id
    AND remainder.person_id = paid.person_id
WHERE
    back.contra_fen NOT BETWEEN 0 AND paid.contra_fen
    OR paid.contra_fen - back.contra_fen
    IS DISTINCT FROM remainder.current_year_fen + remainder.prior_years_fen + remainder.wallet_fen;

-- name: nothing_cancelled_has_an_effect
-- Of a settlement that was cancelled nothing is left, and under a name that was blocked nothing moved.
SELECT decision.province, decision.institution_id, decision.request_id, decision.operation
FROM ledger.cancellations AS cancellation
INNER JOIN ledger.names AS name USING (province, institution_id, request_id)
INNER JOIN ledger.decisions AS decision
    ON decision.province = name.province AND decision.decision_id = name.decision_id
LEFT JOIN ledger.entries AS entry
    ON entry.province = decision.province AND entry.movement_id = decision.decision_id
LEFT JOIN ledger.remainders AS remainder
    ON remainder.province = entry.province
    AND remainder.movement_id = entry.movement_id
    AND remainder.person_id = entry.person_id
WHERE
    decision.operation = 'settle'
    AND entry.movement_id IS NOT NULL
    AND coalesce(remainder.current_year_fen + remainder.prior_years_fen + remainder.wallet_fen, 1) <> 0;

-- name: a_year_turns_once
-- An account is rolled over at most once a year, and never again with money of the year before.
SELECT province, person_id, date_part('year', moved_at AT TIME ZONE 'Asia/Shanghai') AS year, count(*) AS rollovers
FROM ledger.entries
WHERE kind = 'rollover'
GROUP BY province, person_id, date_part('year', moved_at AT TIME ZONE 'Asia/Shanghai')
HAVING count(*) > 1;

-- name: answers_add_up
-- own account + wallet + mutual aid + cash = amount.
SELECT province, institution_id, request_id, answer
FROM ledger.decisions
WHERE
    operation = 'settle'
    AND (answer ->> 'own_account_fen')::bigint + (answer ->> 'wallet_fen')::bigint
    + (answer ->> 'mutual_aid_fen')::bigint + (answer ->> 'cash_fen')::bigint
    <> (request ->> 'amount_fen')::bigint;

-- name: one_payer_per_settlement
-- Payers are never combined.
SELECT province, movement_id, count(*) AS payers
FROM ledger.entries
WHERE binding_id IS NOT NULL
GROUP BY province, movement_id
HAVING count(*) > 1;

-- name: the_payer_was_the_richest
-- By the record, no candidate in the ranking had more to share than the one who paid.
SELECT decision.province, decision.institution_id, decision.request_id, decision.answer ->> 'payer_id' AS payer_id
FROM ledger.decisions AS decision
CROSS JOIN LATERAL (
    SELECT seen ->> 'payer_id' AS payer_id
    FROM jsonb_array_elements(decision.record -> 'considered') AS seen
    WHERE seen ->> 'out' IS NULL
    ORDER BY (seen ->> 'usable_fen')::bigint DESC, (seen ->> 'bound_at')::timestamptz, seen ->> 'binding_id'
    LIMIT 1
) AS richest
WHERE
    decision.operation = 'settle'
    AND decision.answer ->> 'payer_id' IS NOT NULL
    AND decision.answer ->> 'payer_id' <> richest.payer_id;

-- name: the_payer_was_a_candidate
-- Who paid was considered, and not out.
SELECT decision.province, decision.institution_id, decision.request_id, decision.answer ->> 'payer_id' AS payer_id
FROM ledger.decisions AS decision
WHERE
    decision.operation = 'settle'
    AND decision.answer ->> 'payer_id' IS NOT NULL
    AND NOT EXISTS (
        SELECT FROM jsonb_array_elements(decision.record -> 'considered') AS seen
        WHERE
            seen ->> 'payer_id' = decision.answer ->> 'payer_id'
            AND seen ->> 'out' IS NULL
            AND (seen ->> 'usable_fen')::bigint >= (decision.answer ->> 'mutual_aid_fen')::bigint
    );

-- name: totals
-- How much was looked at.
SELECT
    (SELECT count(*) FROM ledger.accounts) AS accounts,
    (SELECT count(*) FROM ledger.entries) AS entries,
    (SELECT count(*) FROM ledger.decisions) AS decisions,
    (SELECT coalesce(sum(current_year_fen + prior_years_fen + wallet_fen), 0)::bigint FROM ledger.accounts) AS held_fen,
    (SELECT coalesce(sum(contra_fen), 0)::bigint FROM ledger.entries WHERE contra = 'payable') AS payable_fen,
    (SELECT coalesce(sum(contra_fen), 0)::bigint FROM ledger.entries WHERE contra = 'in_transit') AS in_transit_fen,
    (SELECT coalesce(-sum(contra_fen), 0)::bigint FROM ledger.entries WHERE contra = 'contribution') AS contributed_fen;
