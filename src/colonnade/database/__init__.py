"""A replicated PostgreSQL whose primary is replaced when it dies, without losing an acknowledged write.

Read in this order: `state.py` (what is seen and what is recorded), `quorum.py` and `election.py` (why nothing is
lost), `transitions.py` (what a node may become), `decide.py` (what to do now), `controller.py` (the loop).
`postgres.py` is the real driver, `fake.py` one in memory that passes the same contract suite.

What does not belong here: sockets of the gateway (it is told `Routes` through `Endpoints`), what applications do
with a connection, and anything about more than one machine.
"""
