-- The constraints of 0004, held against the rows that were there before: apart, so that reading goes on meanwhile.
ALTER TABLE ledger.entries VALIDATE CONSTRAINT kind_is_known;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT contra_is_known;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT a_request_has_its_name;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT transfer_only_takes;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT arrival_only_fills_the_wallet;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT return_only_gives;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT rollover_only_ages;
ALTER TABLE ledger.decisions VALIDATE CONSTRAINT outcome_is_stored;
ALTER TABLE ledger.decisions VALIDATE CONSTRAINT settled_has_no_reason;
