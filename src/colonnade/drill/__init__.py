"""Prove the promise: put a system under load, watch what it does, and judge by rules fixed beforehand.

An open-loop load generator lives here. Its pure parts (arrivals, workload, ledger, summary, check) know no
clock and no socket; its effects (connection, pool, runner, readback, apart, load) know no statistics.

Does not belong here: anything that keeps a system running. The drill only measures, from outside, like a user.
Read next: `plan` for what a run is, `runner` for how it happens, `ledger` for what is written down about it.
"""
