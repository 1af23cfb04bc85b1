"""Who may see the report: how a reader proves who they are, what they may do, and what keeps a session theirs."""
