"""Dagster's pages behind the report's sign-in: the door that readers come through, and the server that it leads to.

`door` decides who may do what. `proxy` carries what is allowed to the Unix socket on which
`orchestration.serving.pages`, in a process of its own, serves Dagster's pages. `operations` reads what a request asks
Dagster to do.
"""

# Where Dagster's pages are, below the report's own URL.
PATH = "/dagster"
GRAPHQL = f"{PATH}/graphql"
# What the door says to Dagster's server of the user: there is such a header where they may change something.
MAY_LAUNCH = "x-audit-may-launch"
