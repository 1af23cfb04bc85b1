"""A window of feed hours through the stages, as a run or as a replay, and how the warehouse stands."""
