"""How many replicas a service should have: from its load, its objective, its hours and what the machine has left.

`state.py` the data, `demand.py` from load to replicas through the queueing model, `window.py` what was needed of late,
`limits.py` what the machine has, `schedule.py` and `forecast.py` what is expected, `decide.py` puts them together.
All of it is pure. How load is observed and who starts a replica does not belong here: that is `system/autoscaling.py`.
"""
