"""Programs that run inside of containers, copied there as they are: the standard library only, nothing of Colonnade.

Does not belong here: anything that runs where the export is made.
"""
