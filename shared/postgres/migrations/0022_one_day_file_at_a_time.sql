-- Of an institution's files of a day one is under way at a time: whoever sends many keeps nobody else from the database.

-- Nobody begins another between the look and the index.
LOCK TABLE registry.reconciliations IN SHARE ROW EXCLUSIVE MODE;

-- Of several that are under way now, the one that began last goes on.
WITH surplus AS (
    UPDATE registry.reconciliations AS earlier
    SET state = 'abandoned'
    WHERE
        earlier.state = 'reading'
        AND EXISTS (
            SELECT 1
            FROM registry.reconciliations AS later
            WHERE
                later.state = 'reading'
                AND later.institution_id = earlier.institution_id
                AND (later.reconciliation_id, later.province) > (earlier.reconciliation_id, earlier.province)
        )
    RETURNING earlier.province, earlier.reconciliation_id
)

DELETE FROM registry.reconciliation_lines AS line
USING surplus
WHERE line.province = surplus.province AND line.reconciliation_id = surplus.reconciliation_id;

CREATE UNIQUE INDEX one_file_at_a_time ON registry.reconciliations (institution_id) WHERE state = 'reading';
