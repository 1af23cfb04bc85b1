"""The vendor's activity audit API as a source of feeds: one reading of an hour's window feeds all applications."""
