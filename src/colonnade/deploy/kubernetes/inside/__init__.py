"""Programs that run in pods: each stands alone and is copied there, so they import nothing of ours.

Does not belong here: anything that runs where Colonnade is installed.
"""
