"""The check of everything that the ledger vouches for. What is hashed, and how, is public: docs/integrity.md.

`verify` is the whole check. `check_ledger`, `check_files` and `check_slices` are its parts, and the other `check_…`
modules the parts of the last. `naming` says which events of a batch differ, `data_files` which files are damaged.
"""
