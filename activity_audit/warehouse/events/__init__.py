"""What may be asked of the published events: which columns they have, and which of them are chosen."""
