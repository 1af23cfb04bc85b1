"""Words of the warehouse that several rooms write: the fact's name, the outcomes, the dispositions."""

# The fact, in a schema `main`: published in `audit`, staged in `work`.
FACT_NAME = "fact_activity_event"
FACT = f"audit.main.{FACT_NAME}"
STAGED_FACT = f"work.main.{FACT_NAME}"
OUTCOMES = SUCCESS, FAILURE = ("SUCCESS", "FAILURE")
DISPOSITIONS = ("accepted", "duplicate", "quarantined")
# What is counted of a delivery: every record once, and what is noted of the accepted ones besides.
MOVED_COUNTS = (*DISPOSITIONS, "offset_normalised", "late")
COUNTS = ("received", *MOVED_COUNTS)
