"""Keeping the warehouse small, fast and within its retention."""
