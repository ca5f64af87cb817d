"""`colonnade export compose`: the same system on one Docker host, by compose.yaml.

`plan.py` says which containers there are, `services.py` writes them, `gateway.py` has HAProxy's text, `told.py` what a
declaration says and compose cannot do, `secret_files.py` makes the files that hold secrets.

Does not belong here: how images are made (`deploy/docker`), and anything that runs while the system does.
"""
