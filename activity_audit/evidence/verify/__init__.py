"""Integrity: the ledger of published batches, and the check of everything that it vouches for.

What is hashed, and how, is public: docs/integrity.md. `chain`, `digests` and `replays` hold those rules,
`ledger` and `adoption` write entries, `head` keeps the newest hash elsewhere, `verify` recomputes it all.
"""
