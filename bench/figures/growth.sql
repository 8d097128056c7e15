-- What the figure of growth asks of each of its databases.

-- name: read_accounts
-- As a server that has been at work for a while, this one has in memory what settlements look at: the rows of accounts, ...
SELECT count(balances_year) FROM ledger.accounts;

-- name: read_persons
-- ... of persons, ...
SELECT count(insurance) FROM registry.persons;

-- name: read_bindings
-- ... of bindings, ...
SELECT count(wallet) FROM registry.bindings;

-- name: read_accounts_by_person
-- ... and the indexes by which they are found or added: each by a look at everybody, ...
SELECT count(*)
FROM ledger.accounts AS account
CROSS JOIN LATERAL (SELECT FROM ledger.accounts AS found WHERE found.person_id = account.person_id OFFSET 0) AS read;

-- name: read_persons_by_person
-- ... patients and payers, ...
SELECT count(*)
FROM registry.persons AS person
CROSS JOIN LATERAL (SELECT FROM registry.persons AS found WHERE found.person_id = person.person_id OFFSET 0) AS read;

-- name: read_bindings_by_beneficiary
-- ... and whoever somebody may pay for, ...
SELECT count(*)
FROM registry.bindings AS binding
CROSS JOIN LATERAL (
    SELECT FROM registry.bindings AS found WHERE found.beneficiary_id = binding.beneficiary_id OFFSET 0
) AS read;

-- name: read_names
-- ... or read from one end to the other: whether a request was decided before, ...
SELECT count(*)
FROM (
    SELECT province, institution_id, request_id
    FROM ledger.names
    ORDER BY province, institution_id, request_id
    OFFSET 0
) AS read;

-- name: read_entries_by_person
-- ... and where this month's entries are added.
SELECT count(*)
FROM (
    SELECT province, person_id, movement_id
    FROM ledger.entries
    WHERE movement_id >= $1
    ORDER BY province, person_id, movement_id
    OFFSET 0
) AS read;

-- name: vacuum
-- What was updated while it settled in is tidied up, so that no autovacuum of millions of rows falls into what is measured.
VACUUM ledger.accounts;

-- name: decided
-- How many requests were decided under their names since this id.
SELECT count(*)
FROM ledger.decisions AS decision
INNER JOIN ledger.names AS name USING (province, institution_id, request_id, decision_id)
WHERE decision.decision_id >= $1;

-- name: balances_that_disagree
-- Whoever's account was moved since this id and is not the sum of all its entries.
SELECT touched.province, touched.person_id
FROM (SELECT DISTINCT province, person_id FROM ledger.entries WHERE movement_id >= $1) AS touched
LEFT JOIN ledger.accounts AS account USING (province, person_id)
CROSS JOIN LATERAL (
    SELECT
        sum(entry.current_year_fen) AS current_year_fen,
        sum(entry.prior_years_fen) AS prior_years_fen,
        sum(entry.wallet_fen) AS wallet_fen
    FROM ledger.entries AS entry
    WHERE entry.province = touched.province AND entry.person_id = touched.person_id
) AS entered
WHERE
    (account.current_year_fen, account.prior_years_fen, account.wallet_fen)
    IS DISTINCT FROM (entered.current_year_fen, entered.prior_years_fen, entered.wallet_fen)
LIMIT 20;
