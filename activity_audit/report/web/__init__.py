"""The report as web pages: what a URL says, the pages, and how they look. What may be asked is decided below it."""
