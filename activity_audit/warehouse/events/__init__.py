"""Questions about the published events: their columns, and the filters that choose them."""
