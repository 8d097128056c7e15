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
LEFT JOIN ledger.decisions AS decision
    ON decision.province = transfer.province AND decision.decision_id = transfer.transfer_id
WHERE
    (
        decision.request ->> 'from_person_id',
        decision.request ->> 'to_person_id',
        left(decision.request ->> 'to_insured_region', 2)::smallint,
        (decision.request ->> 'amount_fen')::bigint
    ) IS DISTINCT FROM (
        transfer.from_person_id,
        transfer.to_person_id,
        transfer.to_province,
        transfer.current_year_fen + transfer.prior_years_fen
    )
    OR (given.current_year_fen, given.prior_years_fen)
    IS DISTINCT FROM (-transfer.current_year_fen, -transfer.prior_years_fen)
    OR coalesce(ended.contra_fen, 0) <> CASE
        WHEN transfer.state IN ('arrived', 'cancelled', 'returned') THEN -(transfer.current_year_fen + transfer.prior_years_fen)
        ELSE 0
    END;

-- name: every_refund_moved_what_it_says
-- What a refund or a cancel says was given back, or taken again, is what its entries did, and to whom.
SELECT decision.province, decision.institution_id, decision.request_id, decision.operation, decision.outcome
FROM ledger.decisions AS decision
LEFT JOIN LATERAL (
    SELECT
        max(entry.kind) AS kind,
        coalesce(sum(current_year_fen + prior_years_fen) FILTER (WHERE binding_id IS NULL), 0) AS own_account_fen,
        coalesce(sum(entry.wallet_fen), 0) AS wallet_fen,
        coalesce(sum(current_year_fen + prior_years_fen) FILTER (WHERE binding_id IS NOT NULL), 0) AS mutual_aid_fen,
        max(person_id) FILTER (WHERE binding_id IS NOT NULL) AS payer_id
    FROM ledger.entries AS entry
    WHERE entry.province = decision.province AND entry.movement_id = decision.decision_id
) AS moved ON true
WHERE
    decision.operation IN ('refund', 'cancel')
    AND (
        decision.moved <> (moved.kind IS NOT NULL)
        OR (decision.operation = 'refund' AND (decision.outcome = 'refunded') <> decision.moved)
        OR (
            moved.kind IN ('refund', 'refund_reversal', 'credit_reversal')
            AND (
                (decision.answer ->> 'own_account_fen')::bigint <> abs(moved.own_account_fen)
                OR (decision.answer ->> 'wallet_fen')::bigint <> abs(moved.wallet_fen)
                OR (decision.answer ->> 'mutual_aid_fen')::bigint <> abs(moved.mutual_aid_fen)
                OR (decision.answer ->> 'payer_id') IS DISTINCT FROM moved.payer_id
            )
        )
    );

-- name: whatever_undoes_has_its_original
-- A refund gives back to whom the settlement that its request names took from; what takes again takes what was given.
SELECT undoing.province, undoing.movement_id, undoing.person_id, undoing.kind, undoing.original_id
FROM ledger.entries AS undoing
LEFT JOIN ledger.decisions AS decision
    ON decision.province = undoing.province AND decision.decision_id = undoing.movement_id
LEFT JOIN ledger.names AS named
    ON named.province = undoing.province
    AND named.institution_id = undoing.institution_id
    AND named.request_id = decision.request ->> 'original_request_id'
LEFT JOIN ledger.entries AS undone
    ON undone.province = undoing.province
    AND undone.movement_id = named.decision_id
    AND undone.person_id = undoing.person_id
LEFT JOIN ledger.entries AS paid
    ON paid.province = undoing.province
    AND paid.movement_id = undoing.original_id
    AND paid.person_id = undoing.person_id
WHERE
    undoing.kind IN ('refund', 'refund_reversal', 'credit_reversal')
    AND CASE undoing.kind
        WHEN 'credit_reversal' THEN
            undone.kind = 'credit' AND undone.movement_id = undoing.original_id AND undone.contra_fen = -undoing.contra_fen
        ELSE
            paid.kind = 'settlement'
            AND paid.binding_id IS NOT DISTINCT FROM undoing.binding_id
            AND (paid.institution_id, paid.insured_region, paid.care_region)
            = (undoing.institution_id, undoing.insured_region, undoing.care_region)
            AND CASE undoing.kind
                WHEN 'refund' THEN named.decision_id = undoing.original_id
                ELSE
                    undone.kind = 'refund'
                    AND undone.original_id = undoing.original_id
                    AND undone.contra_fen = -undoing.contra_fen
            END
    END IS NOT true;

-- name: every_cancel_is_written_down
-- Whoever was told that a request is cancelled was told the truth, and nothing is cancelled that nobody has cancelled.
SELECT decision.province, decision.institution_id, decision.request ->> 'original_request_id' AS request_id
FROM ledger.decisions AS decision
LEFT JOIN ledger.cancellations AS cancellation
    ON cancellation.province = decision.province
    AND cancellation.institution_id = decision.institution_id
    AND cancellation.request_id = decision.request ->> 'original_request_id'
WHERE decision.operation = 'cancel' AND decision.outcome = 'cancelled' AND cancellation.request_id IS NULL
UNION ALL
SELECT cancellation.province, cancellation.institution_id, cancellation.request_id
FROM ledger.cancellations AS cancellation
LEFT JOIN ledger.names AS name
    ON name.province = cancellation.province
    AND name.institution_id = cancellation.institution_id
    AND name.request_id = cancellation.cancelled_by
LEFT JOIN ledger.decisions AS decision
    ON decision.province = name.province AND decision.decision_id = name.decision_id
WHERE
    (
        decision.operation = 'cancel'
        AND decision.outcome = 'cancelled'
        AND decision.request ->> 'original_request_id' = cancellation.request_id
    ) IS NOT true;

-- name: what_is_left_is_what_was_not_given_back
-- Part for part, of every settlement of which something was given back, and of no other.
SELECT
    province,
    movement_id,
    person_id,
    remainder.current_year_fen,
    remainder.prior_years_fen,
    remainder.wallet_fen
FROM ledger.remainders AS remainder
FULL JOIN (
    SELECT
        decision.province,
        original.movement_id,
        part ->> 'person_id' AS person_id,
        sum((part ->> 'current_year_fen')::bigint) AS current_year_fen,
        sum((part ->> 'prior_years_fen')::bigint) AS prior_years_fen,
        sum((part ->> 'wallet_fen')::bigint) AS wallet_fen
    FROM ledger.decisions AS decision
    CROSS JOIN LATERAL jsonb_array_elements((decision.record -> 'returned')::jsonb) AS returned (said)
    CROSS JOIN LATERAL (SELECT returned.said || jsonb_build_object('person_id', returned.said -> 'person' -> 1)) AS one (part)
    CROSS JOIN LATERAL (
        SELECT entry.original_id AS movement_id
        FROM ledger.entries AS entry
        WHERE entry.province = decision.province AND entry.movement_id = decision.decision_id
        LIMIT 1
    ) AS original
    WHERE decision.operation IN ('refund', 'cancel')
    GROUP BY decision.province, original.movement_id, part ->> 'person_id'
) AS back USING (province, movement_id, person_id)
LEFT JOIN ledger.entries AS paid USING (province, movement_id, person_id)
WHERE
    (remainder.current_year_fen, remainder.prior_years_fen, remainder.wallet_fen)
    IS DISTINCT FROM (
        -paid.current_year_fen - back.current_year_fen,
        -paid.prior_years_fen - back.prior_years_fen,
        -paid.wallet_fen - back.wallet_fen
    );

-- name: no_balance_is_of_a_year_gone_by
-- An account on which money moved in a year has its balances of that year, or of a later one.
SELECT account.province, account.person_id, account.balances_year, moved.year
FROM ledger.accounts AS account
INNER JOIN (
    SELECT province, person_id, max(date_part('year', moved_at AT TIME ZONE 'Asia/Shanghai')) AS year
    FROM ledger.entries
    GROUP BY province, person_id
) AS moved USING (province, person_id)
WHERE account.balances_year < moved.year;

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

-- name: every_decision_was_answered
-- What is stored as sent answers this very request, with this outcome, and names what moved.
SELECT province, institution_id, request_id, outcome
FROM ledger.decisions
WHERE
    operation <> 'blocked'
    AND (
        answer ->> 'request_id' IS DISTINCT FROM request_id
        OR answer ->> 'institution_id' IS DISTINCT FROM institution_id
        OR answer ->> 'operation' IS DISTINCT FROM operation
        OR answer ->> 'outcome' IS DISTINCT FROM outcome
        OR answer ->> 'reason' IS DISTINCT FROM reason
        OR (
            operation IN ('settle', 'transfer')
            AND coalesce(answer ->> 'settlement_id', answer ->> 'transfer_id') IS DISTINCT FROM CASE
                WHEN moved THEN lpad(province::text, 2, '0') || '-' || replace(decision_id::text, '-', '')
            END
        )
    );

-- name: everything_is_sealed_once
-- Every decision and every movement is in one seal, or waits on one page; nothing that was sealed has vanished.
SELECT
    province,
    id,
    count(*) FILTER (WHERE place = 'written') AS written,
    count(*) FILTER (WHERE place <> 'written') AS sealed
FROM (
    SELECT province, decision_id AS id, 'written' AS place FROM ledger.decisions
    UNION
    SELECT province, movement_id, 'written' FROM ledger.entries
    UNION ALL
    SELECT province, unnest(ids), 'seal' FROM ledger.seals
    UNION ALL
    SELECT province, unnest(ids), 'page' FROM ledger.pages
) AS found
GROUP BY province, id
HAVING count(*) FILTER (WHERE place = 'written') <> 1 OR count(*) FILTER (WHERE place <> 'written') <> 1;

-- name: every_seal_covers_what_it_covered
-- What lies under a seal's ids has the digest that it had when it was sealed; told here in words of the audit's own.
SELECT seal.province, seal.seal_no, seal.sealed_at
FROM ledger.seals AS seal
CROSS JOIN LATERAL (
    SELECT string_agg(line, chr(10) ORDER BY convert_to(line, 'UTF8')) AS lines
    FROM (
        SELECT jsonb_build_array(
            'entry', movement_id, person_id, kind, institution_id, request_id, binding_id, current_year_fen,
            prior_years_fen, wallet_fen, contra, contra_fen, original_id, insured_region, care_region,
            floor(extract(EPOCH FROM moved_at) * 1000000)::bigint
        )::text AS line
        FROM ledger.entries
        WHERE province = seal.province AND movement_id = ANY(seal.ids)
        UNION ALL
        SELECT jsonb_build_array(
            'decision', decision_id, institution_id, request_id, operation, outcome, reason, moved, request, record,
            answer, floor(extract(EPOCH FROM decided_at) * 1000000)::bigint
        )::text
        FROM ledger.decisions
        WHERE province = seal.province AND decision_id = ANY(seal.ids)
    ) AS written
) AS content
WHERE seal.digest <> sha256(convert_to(coalesce(content.lines, ''), 'UTF8'));

-- name: the_chain_is_unbroken
-- Seals count from one without a gap, and each hash covers the one before.
SELECT province, seal_no, previous_no
FROM (
    SELECT
        province,
        seal_no,
        digest,
        hash,
        lag(seal_no) OVER chain AS previous_no,
        lag(hash) OVER chain AS previous_hash
    FROM ledger.seals
    WINDOW chain AS (PARTITION BY province ORDER BY seal_no)
) AS link
WHERE
    seal_no <> coalesce(previous_no, 0) + 1
    OR hash <> sha256(coalesce(previous_hash, ''::bytea) || digest || int8send(seal_no));

-- name: every_closed_day_is_as_it_was
-- What a closed day was said to come to is what its entries come to: nothing was added to it, and nothing changed.
SELECT
    province,
    day,
    insured_region,
    institution_id,
    care_region,
    said.settlements AS said_settlements,
    found.settlements,
    said.settled_fen AS said_settled_fen,
    said.returned_fen AS said_returned_fen,
    found.settled_fen,
    found.returned_fen
FROM ledger.clearing_lines AS said
FULL JOIN (
    SELECT
        entry.province,
        closed.day,
        entry.insured_region,
        entry.institution_id,
        entry.care_region,
        count(DISTINCT entry.movement_id) FILTER (WHERE entry.kind = 'settlement') AS settlements,
        sum(CASE entry.kind WHEN 'settlement' THEN entry.contra_fen ELSE 0 END) AS settled_fen,
        -sum(CASE entry.kind WHEN 'settlement' THEN 0 ELSE entry.contra_fen END) AS returned_fen
    FROM ledger.entries AS entry
    INNER JOIN ledger.clearings AS closed
        ON closed.province = entry.province
        AND closed.day = (entry.moved_at AT TIME ZONE 'Asia/Shanghai')::date
    WHERE entry.contra = 'payable'
    GROUP BY entry.province, closed.day, entry.insured_region, entry.institution_id, entry.care_region
) AS found USING (province, day, insured_region, institution_id, care_region)
WHERE
    (said.settlements, said.settled_fen, said.returned_fen)
    IS DISTINCT FROM (found.settlements, found.settled_fen, found.returned_fen);

-- name: days_are_closed_without_a_gap
-- Each closed day of a province follows the one before.
SELECT province, day, previous_day
FROM (
    SELECT province, day, lag(day) OVER (PARTITION BY province ORDER BY day) AS previous_day
    FROM ledger.clearings
) AS closed
WHERE day <> previous_day + 1;

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
    FROM json_array_elements(decision.record -> 'considered') AS seen
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
        SELECT FROM json_array_elements(decision.record -> 'considered') AS seen
        WHERE
            seen ->> 'payer_id' = decision.answer ->> 'payer_id'
            AND seen ->> 'out' IS NULL
            AND (seen ->> 'usable_fen')::bigint >= (decision.answer ->> 'mutual_aid_fen')::bigint
    );

-- name: what_was_seen_was_there
-- What a settlement's record says its patient and each candidate had is what their entries came to just before it, in the order
-- of the chain: whoever locks an account has waited for the commit of whoever held it before taking a number for its own page.
-- A page names what moved nothing behind what moved, so such a decision may have been made at any point of its batch. Somebody
-- who had no account could not be locked, and had nothing.
WITH chain AS (
    SELECT seal.province, one.id, 0 AS waits, seal.seal_no AS leaf_no, one.place
    FROM ledger.seals AS seal
    CROSS JOIN LATERAL unnest(seal.ids) WITH ORDINALITY AS one (id, place)
    UNION ALL
    SELECT page.province, one.id, 1, page.page_no, one.place
    FROM ledger.pages AS page
    CROSS JOIN LATERAL unnest(page.ids) WITH ORDINALITY AS one (id, place)
),

told AS (
    SELECT
        chain.province, entry.person_id, chain.waits, chain.leaf_no, chain.place, entry.moved_at AS at, true AS is_entry,
        entry.current_year_fen, entry.prior_years_fen, entry.wallet_fen,
        NULL::uuid AS decision_id, NULL::boolean AS moved, NULL::boolean AS locked,
        NULL::bigint AS seen_current_year_fen, NULL::bigint AS seen_prior_years_fen, NULL::bigint AS seen_wallet_fen
    FROM chain
    INNER JOIN ledger.entries AS entry ON entry.province = chain.province AND entry.movement_id = chain.id
    UNION ALL
    SELECT
        chain.province, person.id, chain.waits, chain.leaf_no, chain.place, decision.decided_at, false,
        0, 0, 0,
        decision.decision_id, decision.moved, kept.locked ? person.id,
        coalesce(seen.current_year_fen, 0), coalesce(seen.prior_years_fen, 0), coalesce(seen.wallet_fen, 0)
    FROM chain
    INNER JOIN ledger.decisions AS decision ON decision.province = chain.province AND decision.decision_id = chain.id
    CROSS JOIN LATERAL json_to_record(decision.record) AS kept (locked jsonb, considered json, seen json)
    CROSS JOIN LATERAL (
        SELECT decision.request ->> 'person_id' AS id, kept.seen -> 'account' AS account
        UNION ALL
        SELECT candidate.payer_id, candidate.account
        FROM json_to_recordset(kept.considered) AS candidate (payer_id text, account json)
    ) AS person
    LEFT JOIN LATERAL json_to_record(person.account)
        AS seen (current_year_fen bigint, prior_years_fen bigint, wallet_fen bigint) ON true
    WHERE decision.operation = 'settle'
),

added_up AS (
    SELECT
        told.*,
        coalesce(sum(current_year_fen) OVER before, 0) AS had_current_year_fen,
        coalesce(sum(prior_years_fen) OVER before, 0) AS had_prior_years_fen,
        coalesce(sum(wallet_fen) OVER before, 0) AS had_wallet_fen,
        max(at) FILTER (WHERE is_entry) OVER before AS last_at
    FROM told
    WINDOW before AS (
        PARTITION BY province, person_id ORDER BY waits, leaf_no, place, is_entry ROWS UNBOUNDED PRECEDING
    )
),

held AS (
    -- What was this year's money is earlier years' in the next, whether or not the books have been turned by then.
    SELECT
        added_up.*,
        CASE WHEN is_turned THEN 0 ELSE had_current_year_fen END AS due_current_year_fen,
        CASE WHEN is_turned THEN had_prior_years_fen + had_current_year_fen ELSE had_prior_years_fen END AS due_prior_years_fen
    FROM added_up
    CROSS JOIN LATERAL (
        SELECT
            date_trunc('year', last_at AT TIME ZONE 'Asia/Shanghai')
            < date_trunc('year', at AT TIME ZONE 'Asia/Shanghai') AS is_turned
    ) AS year
    WHERE NOT is_entry
)

SELECT
    held.province,
    held.decision_id,
    held.person_id,
    held.seen_current_year_fen,
    held.seen_prior_years_fen,
    held.seen_wallet_fen,
    CASE WHEN held.locked THEN held.due_current_year_fen ELSE 0 END AS due_current_year_fen,
    CASE WHEN held.locked THEN held.due_prior_years_fen ELSE 0 END AS due_prior_years_fen,
    CASE WHEN held.locked THEN held.had_wallet_fen ELSE 0 END AS due_wallet_fen
FROM held
WHERE
    (held.seen_current_year_fen, held.seen_prior_years_fen, held.seen_wallet_fen) IS DISTINCT FROM (
        CASE WHEN held.locked THEN held.due_current_year_fen ELSE 0 END,
        CASE WHEN held.locked THEN held.due_prior_years_fen ELSE 0 END,
        CASE WHEN held.locked THEN held.had_wallet_fen ELSE 0 END
    )
    AND NOT (
        held.locked
        AND NOT held.moved
        AND EXISTS (
            SELECT
            FROM (
                SELECT
                    sum(entry.current_year_fen) OVER since AS current_year_fen,
                    sum(entry.prior_years_fen) OVER since AS prior_years_fen,
                    sum(entry.wallet_fen) OVER since AS wallet_fen
                FROM (
                    SELECT ids FROM ledger.seals
                    WHERE held.waits = 0 AND seals.province = held.province AND seals.seal_no = held.leaf_no
                    UNION ALL
                    SELECT ids FROM ledger.pages
                    WHERE held.waits = 1 AND pages.province = held.province AND pages.page_no = held.leaf_no
                ) AS leaf
                INNER JOIN ledger.entries AS entry
                    ON entry.province = held.province
                    AND entry.person_id = held.person_id
                    AND entry.moved_at = held.at
                    -- An id begins with its time, to the millisecond.
                    AND entry.movement_id >= ledger.earliest_id(held.at - interval '2 ms')
                    AND entry.movement_id < ledger.earliest_id(held.at + interval '2 ms')
                    AND entry.movement_id = ANY(leaf.ids)
                WINDOW since AS (ORDER BY array_position(leaf.ids, entry.movement_id) DESC)
            ) AS later
            WHERE
                held.seen_current_year_fen = held.due_current_year_fen - later.current_year_fen
                AND held.seen_prior_years_fen = held.due_prior_years_fen - later.prior_years_fen
                AND held.seen_wallet_fen = held.had_wallet_fen - later.wallet_fen
        )
    );

-- name: proven_up_to
-- The head of each province's chain, and what waits to be sealed.
SELECT
    coalesce(head.province, waiting.province) AS province,
    head.seal_no,
    encode(head.hash, 'hex') AS hash,
    head.sealed_at,
    coalesce(waiting.pages, 0) AS unsealed_transactions
FROM (
    SELECT DISTINCT ON (province) province, seal_no, hash, sealed_at
    FROM ledger.seals
    ORDER BY province, seal_no DESC
) AS head
FULL JOIN (SELECT province, count(*) AS pages FROM ledger.pages GROUP BY province) AS waiting USING (province)
ORDER BY province;

-- name: head
-- The hash of one seal.
SELECT encode(hash, 'hex') FROM ledger.seals WHERE province = $1 AND seal_no = $2;

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
