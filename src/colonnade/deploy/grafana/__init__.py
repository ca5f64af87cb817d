"""Dashboards for Grafana, and the provisioning that puts them there.

`panels.py` how a panel is written, `dashboards.py` which there are, `files.py` all of it as an export. Every query is
of metrics that `observe/metrics.py` declares.
"""
