"""What a run proves, one question a file. Each reads what was recorded and says valid, invalid or unknown, with the
first operations that show it. Pure: a checker that cannot see enough says unknown.

Does not belong here: fetching anything. Read next: `writes`, the oldest of them.
"""
