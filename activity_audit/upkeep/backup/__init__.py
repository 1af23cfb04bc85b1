"""Backups of a whole home in another place, and how one becomes a home again."""
