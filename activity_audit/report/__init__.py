"""The Activity Audit report: what it shows of the published warehouse, and as what files it can be had.

It reads the warehouse and nothing else.
"""
