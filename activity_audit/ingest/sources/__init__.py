"""Where deliveries come from: folders, buckets, the product itself, a class of the user."""
