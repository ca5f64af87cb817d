"""Drills of a system in a Kubernetes cluster: the faults that its API allows, with the load, checkers and report of
all.

`api.py` what is asked of a cluster (given from outside), `marks.py` what was changed and how it was, `sampler.py`
looks, `faults/` one file each, `permissions.py` what they need, `director.py` leads.

Does not belong here: how a cluster is spoken to (`deploy/kubernetes`), and what is the same on one machine (`course`).
"""
