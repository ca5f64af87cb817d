"""An open-loop load generator: it sends what was planned when it was planned, and writes down what became of it.

Its pure parts (arrivals, workload, mix, ledger, summary) know no clock and no socket; its effects (connection, pool,
runner, readback, apart) know no statistics.

Does not belong here: any judgement of the system; that is `checkers`.
Read next: `plan` for what a run is, `runner` for how it happens, `ledger` for what is written down about it.
"""
