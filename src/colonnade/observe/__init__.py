"""What is seen of a system, as numbers: metrics and their declaration, history, objectives, alerts.

Data and mathematics. Nothing here asks a running system or decides what is done to one: who looks is `dashboard`.
"""
