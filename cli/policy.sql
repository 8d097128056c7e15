-- Region policies as operators have put them.

-- name: versions
-- Every version of every code.
SELECT code, version, policy FROM registry.settlement_policies ORDER BY code, version;
