"""What every subsystem stands on: clock, errors, events, decisions, processes, files, ports.

Nothing here knows about web applications, HAProxy or PostgreSQL, and nothing here decides policy.
"""
