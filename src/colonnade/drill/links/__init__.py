"""Links: proxies in user space between the parts of a system, so that each way between two of them can be made bad.

`rule` is what a link can do to its traffic, as data. `door` is where connections come in (or not), `pump` moves the
bytes of one direction, `connection` is two pumps, `link` is one way with everything on it. `process` runs many links
in a process of their own, `client` tells it what to do.

Does not belong here: which link is made bad when, and why; that is `faults`. How the parts come to use the links is
`system/detours`.
Read next: `rule`, then `link`.
"""
