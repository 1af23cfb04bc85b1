"""The report as a file: all that the filters say, newest first, streamed, so that memory does not follow the rows."""
