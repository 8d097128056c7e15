-- Months: the partitions of the books.

-- name: last
-- The last month that has been prepared.
SELECT max(month) FROM ledger.months;

-- name: prepare
-- Prepares the month after the last one, or the given one if there is none.
SELECT ledger.prepare_month($1);
