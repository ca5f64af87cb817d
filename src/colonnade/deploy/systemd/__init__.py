"""`colonnade export systemd`: the system on one Linux host for good. `unit.py` writes the unit.

Does not belong here: installing it, which is the administrator's to do.
"""
