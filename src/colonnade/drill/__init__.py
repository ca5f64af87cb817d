"""Prove the promise: put a system under load, break it, and judge what it did by rules fixed beforehand.

`scenario` says what is to happen, `record` what did. `load` sends requests, `faults` break and heal, `checkers` judge,
`report` shows. A drill works on an instance of its own, from outside, like a user with a hammer.

Does not belong here: anything that keeps a system running.
Read next: `scenario`, `record`.
"""
