"""Data expectations: what every batch is held to before it is published, and the site that shows it.

`feed_contract` judges what the sources sent and never blocks; `conformance` judges what is about to be
published and always does. Here are the rules, their tolerances, the run that evaluates them with Great
Expectations, and the data docs. No rule about SQL models (dbt tests them) and nothing of Dagster.
"""
