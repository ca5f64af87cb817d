"""Faults that a cluster's API allows, one file each; each lives for one stroke, as those of one machine do
(`faults/fault`).

`around.py` what they are given, `whom.py` whom they strike, `evictions.py` what two of them have in common.
Does not belong here: when they happen, and what comes of it.
"""
