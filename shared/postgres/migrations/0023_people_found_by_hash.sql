-- People, their accounts and a patient's bindings are found by the hash of a person id: there are no levels of a tree to go down,
-- half of what a look costs (docs/adr/0022-people-are-found-by-hash.md). Nobody asks for a stretch of person ids but who reads all
-- people or accounts in their order, by the primary key.
-- Nobody writes to a table while an index of it is made. Where that takes too long, make each beforehand, as gongji_migrate, with
-- CREATE INDEX CONCURRENTLY: it is found here.

CREATE INDEX IF NOT EXISTS persons_by_person_id ON registry.persons USING hash (person_id);
CREATE INDEX IF NOT EXISTS bindings_by_beneficiary_id ON registry.bindings USING hash (beneficiary_id);
CREATE INDEX IF NOT EXISTS accounts_by_person_id ON ledger.accounts USING hash (person_id);

DROP INDEX registry.persons_by_id;
DROP INDEX registry.bindings_by_beneficiary;
