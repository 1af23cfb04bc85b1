"""Evidence packs: a folder with chosen events and all that proves them, for a stranger with DuckDB and `sha256sum`.

What a pack has, and what it proves, is public: docs/evidence.md. `pack` makes one; `scope` says which feed hours it is
about, `tables` writes its tables, `about` what it was made with, `texts` its README and its check.
"""
