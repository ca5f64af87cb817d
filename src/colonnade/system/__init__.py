"""The composition root: the only package that knows all the subsystems, and the two processes that carry them.

`keeper.py` holds the listening sockets and restarts the controller; `controller.py` is the one asyncio process that
observes and acts; `assemble.py` builds the subsystems; `mapping.py` turns what one subsystem says into what another
is told; `api.py` answers on the control socket, `client.py` asks it. Policy lives in the subsystems, not here.
"""
