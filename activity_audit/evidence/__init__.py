"""The auditor's tools: a check that everything is there and unchanged, and a pack that proves it to a stranger."""
