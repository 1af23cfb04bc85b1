"""From a feed to the raw lake: lists the deliveries, reads each one, and lands it."""
