-- Transfers between relatives: money in transit from a personal account to a wallet.

-- name: add
-- Transfers that a batch has made.
INSERT INTO ledger.transfers (
    province, transfer_id, from_person_id, to_province, to_person_id, binding_id,
    current_year_fen, prior_years_fen, state, made_at, accept_by
)
SELECT made.*
FROM unnest(
    $1::smallint[], $2::uuid[], $3::text[], $4::smallint[], $5::text[], $6::uuid[],
    $7::bigint[], $8::bigint[], $9::text[], $10::timestamptz[], $11::timestamptz[]
) AS made;

-- name: close
-- Where the money went in the end.
UPDATE ledger.transfers AS transfer
SET state = ended.state, closed_at = $5, closed_movement_id = ended.movement_id
FROM unnest($1::smallint[], $2::uuid[], $3::text[], $4::uuid[]) AS ended (province, transfer_id, state, movement_id)
WHERE
    transfer.province = ended.province
    AND transfer.transfer_id = ended.transfer_id
    AND transfer.state IN ('pending', 'accepted')
RETURNING transfer.transfer_id;

-- name: made_since
-- How many transfers each giver has made since a transfer id made of the day's first instant.
SELECT asked.province, asked.person_id, count(*) AS transfers
FROM unnest($1::smallint[], $2::text[]) AS asked (province, person_id)
INNER JOIN ledger.transfers AS transfer
    ON transfer.province = asked.province
    AND transfer.from_person_id = asked.person_id
    AND transfer.transfer_id >= $3::uuid
GROUP BY asked.province, asked.person_id;

-- name: arriving
-- Transfers to these receivers that are theirs by now and have not arrived.
SELECT
    transfer.province, transfer.transfer_id, transfer.from_person_id, transfer.to_province, transfer.to_person_id,
    transfer.binding_id, transfer.current_year_fen, transfer.prior_years_fen, transfer.made_at, transfer.accept_by,
    true AS accepted
FROM ledger.transfers AS transfer
INNER JOIN unnest($1::smallint[], $2::text[]) AS receiver (province, person_id)
    ON transfer.to_province = receiver.province AND transfer.to_person_id = receiver.person_id
WHERE
    transfer.state = 'accepted'
    OR (
        transfer.state = 'pending'
        AND EXISTS (
            SELECT FROM registry.settlement_acceptances AS yes
            WHERE yes.province = transfer.province AND yes.transfer_id = transfer.transfer_id
        )
    )
ORDER BY transfer.province, transfer.transfer_id;

-- name: take
-- Locks those of these transfers that are still open and that nobody else is closing.
SELECT transfer.province, transfer.transfer_id
FROM ledger.transfers AS transfer
INNER JOIN unnest($1::smallint[], $2::uuid[]) AS wanted (province, transfer_id)
    ON transfer.province = wanted.province AND transfer.transfer_id = wanted.transfer_id
WHERE transfer.state IN ('pending', 'accepted')
FOR UPDATE OF transfer SKIP LOCKED;

-- name: due_provinces
-- Where transfers are past their deadline.
SELECT DISTINCT province
FROM ledger.transfers
WHERE state IN ('pending', 'accepted') AND accept_by <= $1
ORDER BY province;

-- name: due
-- Some of the transfers that are past their deadline, and whether they were accepted; another worker's are left to it.
SELECT
    transfer.province, transfer.transfer_id, transfer.from_person_id, transfer.to_province, transfer.to_person_id,
    transfer.binding_id, transfer.current_year_fen, transfer.prior_years_fen, transfer.made_at, transfer.accept_by,
    transfer.state = 'accepted' OR EXISTS (
        SELECT FROM registry.settlement_acceptances AS yes
        WHERE yes.province = transfer.province AND yes.transfer_id = transfer.transfer_id
    ) AS accepted
FROM ledger.transfers AS transfer
WHERE transfer.state IN ('pending', 'accepted') AND transfer.province = $1 AND transfer.accept_by <= $2
ORDER BY transfer.accept_by, transfer.transfer_id
LIMIT $3
FOR UPDATE OF transfer SKIP LOCKED;

-- name: lock
-- One transfer, so that nobody else closes it.
SELECT
    transfer.province, transfer.transfer_id, transfer.from_person_id, transfer.to_province, transfer.to_person_id,
    transfer.binding_id, transfer.current_year_fen, transfer.prior_years_fen, transfer.made_at, transfer.accept_by,
    transfer.state,
    false AS accepted
FROM ledger.transfers AS transfer
WHERE transfer.province = $1 AND transfer.transfer_id = $2
FOR UPDATE OF transfer;

-- name: lock_free
-- The same, if nobody else holds it at the moment.
SELECT
    transfer.province, transfer.transfer_id, transfer.from_person_id, transfer.to_province, transfer.to_person_id,
    transfer.binding_id, transfer.current_year_fen, transfer.prior_years_fen, transfer.made_at, transfer.accept_by,
    transfer.state,
    false AS accepted
FROM ledger.transfers AS transfer
WHERE transfer.province = $1 AND transfer.transfer_id = $2
FOR UPDATE OF transfer SKIP LOCKED;

-- name: take_back
-- Transfers that were cancelled after they had arrived.
UPDATE ledger.transfers AS transfer
SET state = 'cancelled'
FROM unnest($1::smallint[], $2::uuid[]) AS cancelled (province, transfer_id)
WHERE
    transfer.province = cancelled.province
    AND transfer.transfer_id = cancelled.transfer_id
    AND transfer.state = 'arrived';
