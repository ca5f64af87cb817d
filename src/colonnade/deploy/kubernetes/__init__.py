"""The declaration as plain Kubernetes manifests, and the verbs (`deploy --to kubernetes`, `scale`, …) on a cluster.

`settings.py` what is asked for beside the declaration, `parts.py` the declaration as a cluster needs it, `manifests.py`
the files (from `templates/`, which are to be read), `gateway.py` HAProxy's text, `told.py` what a cluster cannot do.
`objects.py` judges what a cluster says, `owners.py` and `pruning.py` say what else there is to do. Pure so far.
`cluster.py` speaks to a cluster (`answers.py`: and is refused), `waiting.py` waits for it; `deploying.py`, `scaling.py`
and `verbs.py` do what is asked.

Does not belong here: images (`deploy/docker`), operators, and anything that a cluster does by itself.
"""
