-- Transfers as both sides see them. The worker keeps them; here a receiver's yes is written down.

-- name: transfer
-- One transfer and the receiver's yes, if it was said.
SELECT transfer.*, yes.accepted_at
FROM ledger.binding_transfers AS transfer
LEFT JOIN registry.transfer_acceptances AS yes
    ON yes.province = transfer.province AND yes.transfer_id = transfer.transfer_id
WHERE transfer.province = $1 AND transfer.transfer_id = $2;

-- name: accept
-- The receiver says yes.
INSERT INTO registry.transfer_acceptances (province, transfer_id, accepted_at, accepted_by)
VALUES ($1, $2, $3, $4);

-- name: list_by_giver
-- A page of what a person has given, wherever they were insured, newest first.
SELECT transfer.*, yes.accepted_at
FROM ledger.binding_transfers AS transfer
LEFT JOIN registry.transfer_acceptances AS yes
    ON yes.province = transfer.province AND yes.transfer_id = transfer.transfer_id
WHERE
    transfer.province = ANY(SELECT place.province FROM registry.persons AS place WHERE place.person_id = $1)
    AND transfer.from_person_id = $1
    AND transfer.transfer_id < $2
ORDER BY transfer.transfer_id DESC
LIMIT $3;

-- name: list_by_receiver
-- A page of what a person was given, wherever they were insured, newest first.
SELECT transfer.*, yes.accepted_at
FROM ledger.binding_transfers AS transfer
LEFT JOIN registry.transfer_acceptances AS yes
    ON yes.province = transfer.province AND yes.transfer_id = transfer.transfer_id
WHERE
    transfer.to_province = ANY(SELECT place.province FROM registry.persons AS place WHERE place.person_id = $1)
    AND transfer.to_person_id = $1
    AND transfer.transfer_id < $2
ORDER BY transfer.transfer_id DESC
LIMIT $3;
