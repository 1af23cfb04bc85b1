"""From a feed to the raw lake: which deliveries there are, how each is read, and how it is landed."""
