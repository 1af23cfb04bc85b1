"""Feed files to records, format by format; no record is lost, however damaged the file is."""
