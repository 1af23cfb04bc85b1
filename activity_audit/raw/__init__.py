"""The raw lake at rest: its index, its files, and what a file says of itself."""
