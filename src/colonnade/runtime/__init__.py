"""Replicas of services: processes that serve one port each, kept at the number that is wanted.

`state.py` the data, `transitions.py` the table of states, `restart.py` the back-off, `decide.py` the pure decision,
`launch.py` a replica's command and environment, `probe.py` readiness, `controller.py` the loop that does it.
Nothing here knows how requests reach a replica: the gateway's observations arrive through `system`.
"""
