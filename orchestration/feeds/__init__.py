"""The address by which classes of users imported what a source of feeds is, before it had a room of its own."""
