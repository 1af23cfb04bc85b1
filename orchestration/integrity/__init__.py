"""Integrity: the ledger of published batches, and the check of everything that it vouches for.

What is hashed, and how, is public: docs/integrity.md. `chain` and `digests` hold those rules, `recording` and
`adoption` write entries, `head` keeps the newest hash elsewhere, `verify` recomputes it all.
"""
