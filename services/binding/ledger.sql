-- What the binding service reads of the ledger, to explain: views only, and nothing is locked.

-- name: accounts
-- The accounts of these people, with what was given to their wallets and is theirs although it has not arrived.
SELECT
    wanted.province,
    wanted.person_id,
    coalesce(account.current_year_fen, 0) AS current_year_fen,
    coalesce(account.prior_years_fen, 0) AS prior_years_fen,
    coalesce(account.wallet_fen, 0) + coalesce(coming.amount_fen, 0) AS wallet_fen,
    coalesce(account.balances_year, 0) AS balances_year
FROM unnest($1::smallint[], $2::text[]) AS wanted (province, person_id)
LEFT JOIN ledger.binding_balances AS account
    ON account.province = wanted.province AND account.person_id = wanted.person_id
LEFT JOIN LATERAL (
    SELECT sum(transfer.amount_fen)::bigint AS amount_fen
    FROM ledger.binding_transfers AS transfer
    LEFT JOIN registry.transfer_acceptances AS yes
        ON yes.province = transfer.province AND yes.transfer_id = transfer.transfer_id
    WHERE
        transfer.to_province = wanted.province
        AND transfer.to_person_id = wanted.person_id
        AND transfer.state IN ('pending', 'accepted')
        AND (transfer.state = 'accepted' OR yes.transfer_id IS NOT NULL)
) AS coming ON true;

-- name: used_since
-- What bindings have used: their payers' entries since a movement id.
SELECT used.binding_id, sum(used.contra_fen)::bigint AS used_fen
FROM unnest($1::smallint[], $2::text[], $3::uuid[]) AS asked (province, payer_id, binding_id)
INNER JOIN ledger.binding_usage AS used
    ON used.province = asked.province
    AND used.person_id = asked.payer_id
    AND used.binding_id = asked.binding_id
    AND used.movement_id >= $4::uuid
    AND used.counted_from >= $4::uuid
GROUP BY used.binding_id;
