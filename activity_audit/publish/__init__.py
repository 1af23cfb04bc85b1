"""From staged rows to one snapshot of the warehouse, and the data docs that show it."""
