"""Saved reports that are delivered when a period is over, and questions that are asked of each new snapshot."""
