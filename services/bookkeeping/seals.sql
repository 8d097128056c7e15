-- Seals: movements and decisions, chained off the way of a payment.

-- name: unsealed
-- How many pages wait in each province.
SELECT province, count(*) AS pages
FROM ledger.pages
GROUP BY province
ORDER BY province;

-- name: lock
-- Whether this session may work on a province until its transaction ends; $1 says at what.
SELECT pg_try_advisory_xact_lock($1, $2);

-- name: seal
-- Seals the first pages of a province, at least one and no more than name so many ids, and takes them away. Pages that are visible name only what is committed, and whatever
-- they depend on was committed, and paged, before them: so nothing is skipped and nothing comes too early.
WITH page AS (
    DELETE FROM ledger.pages
    WHERE province = $1 AND page_no IN (
        SELECT counted.page_no
        FROM (
            SELECT first.page_no, sum(first.names) OVER (ORDER BY first.page_no) - first.names AS names_before
            FROM (
                SELECT page_no, cardinality(ids) AS names
                FROM ledger.pages
                WHERE province = $1
                ORDER BY page_no
                LIMIT $2
            ) AS first
        ) AS counted
        WHERE counted.names_before < $4
    )
    RETURNING page_no, ids
),

content AS (
    SELECT array_agg(one.id ORDER BY page.page_no, one.place) AS ids
    FROM page
    CROSS JOIN LATERAL unnest(page.ids) WITH ORDINALITY AS one (id, place)
),

top AS (
    SELECT seal_no, hash
    FROM ledger.seals
    WHERE province = $1
    ORDER BY seal_no DESC
    LIMIT 1
)

INSERT INTO ledger.seals (province, seal_no, ids, digest, hash, sealed_at)
SELECT
    $1,
    coalesce(top.seal_no, 0) + 1,
    content.ids,
    found.digest,
    ledger.chained(top.hash, found.digest, coalesce(top.seal_no, 0) + 1),
    $3::timestamptz
FROM content
CROSS JOIN LATERAL ledger.digest($1, content.ids) AS found (digest)
LEFT JOIN top ON true
WHERE content.ids IS NOT NULL
RETURNING seal_no, cardinality(ids) AS sealed;
