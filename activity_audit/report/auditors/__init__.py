"""The auditor's page: one static HTML file about the record of a period, to be opened or printed.

`queries` says what is asked of the warehouse, `collect` asks it, `verdicts` judges the figures, and `page`
draws them. Everything on the page comes from one snapshot; nothing here changes anything.
"""
