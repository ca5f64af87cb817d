"""Break something on purpose, and make it whole again: one small file for each kind of fault.

`fault` has the protocol and what a fault is given; `registry` the kinds by name; `targets` finds whom to strike. A
fault is made for one moment (from the status of that moment), injected once, and healed whatever happened in between.

Does not belong here: when faults happen (the director), and whether the system stood them (the checkers).
Read next: `fault`, then `kill`.
"""
