"""The integrity ledger: entries for what was published, deleted, replayed and held, each tied to the one before."""
