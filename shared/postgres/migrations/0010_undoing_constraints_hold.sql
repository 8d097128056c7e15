-- The constraints of 0009, held against the rows that were there before: apart, so that reading goes on meanwhile.
ALTER TABLE ledger.entries VALIDATE CONSTRAINT kind_is_known;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT what_undoes_names_its_original;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT refund_only_gives;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT refund_reversal_only_takes;
ALTER TABLE ledger.entries VALIDATE CONSTRAINT credit_reversal_only_takes;
ALTER TABLE ledger.decisions VALIDATE CONSTRAINT outcome_is_stored;
ALTER TABLE ledger.decisions VALIDATE CONSTRAINT only_refusals_have_a_reason;
ALTER TABLE ledger.decisions VALIDATE CONSTRAINT blocked_is_a_tombstone;
ALTER TABLE ledger.transfers VALIDATE CONSTRAINT state_is_known;
ALTER TABLE ledger.transfers VALIDATE CONSTRAINT a_transfer_is_closed_whole;
