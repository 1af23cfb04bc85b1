"""The same work in other tools, and whether they come to the same result."""
