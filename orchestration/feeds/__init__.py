"""The former import path of the source interface, kept for users' own source classes."""
