"""The mathematics of waiting: how many servers a load needs, how long one waits, and a simulator to check both.

`erlang.py` the formulas, `simulator.py` one service as discrete events. No I/O and no clock; randomness is passed in.
What a running system looks like, and what to do about it, is decided in `scaling`.
"""
