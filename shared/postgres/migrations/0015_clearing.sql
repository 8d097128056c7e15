-- Clearing: what a day of a province comes to, by who was insured where, who gave the care, and where. A day is closed once,
-- when nothing can be added to it any more; what is given back later is of its own day.

CREATE TABLE ledger.clearings (
    province smallint NOT NULL,
    day date NOT NULL,
    closed_at timestamptz NOT NULL,
    CONSTRAINT a_day_is_closed_once PRIMARY KEY (province, day),
    CONSTRAINT a_day_is_over_when_it_is_closed CHECK (closed_at >= (day + 1)::timestamp AT TIME ZONE 'Asia/Shanghai')
);

-- `settled_fen` is what accounts of the insured region paid, `returned_fen` what came back to them on this day.
CREATE TABLE ledger.clearing_lines (
    province smallint NOT NULL,
    day date NOT NULL,
    insured_region text NOT NULL,
    institution_id text NOT NULL,
    care_region text NOT NULL,
    settlements bigint NOT NULL,
    settled_fen bigint NOT NULL,
    returned_fen bigint NOT NULL,
    CONSTRAINT clearing_lines_pkey PRIMARY KEY (province, day, insured_region, institution_id, care_region),
    CONSTRAINT a_line_is_of_a_closed_day FOREIGN KEY (province, day) REFERENCES ledger.clearings (province, day)
);

GRANT SELECT, INSERT ON ledger.clearings, ledger.clearing_lines TO gongji_bookkeeping;
GRANT SELECT ON ledger.clearings, ledger.clearing_lines TO gongji_audit;
