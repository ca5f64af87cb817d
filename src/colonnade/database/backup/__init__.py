"""Backups that can be trusted: WAL archived without a gap, base backups on a schedule, restores tried out.

Read in this order: `wal.py` (what a server runs for each piece of WAL), `lineage.py` (which of it leads where),
`catalogue.py` and `schedule.py` (what there is, what to do next: pure), `base_backup.py`, `restore_plan.py`,
`restore.py`, `verify.py` (doing it), `service.py` (the loop in the controller).

What does not belong here: anything about who is primary (`database/`), and how a person asks (`cli/backup.py`,
`cli/restore.py`).
"""
