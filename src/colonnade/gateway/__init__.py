"""HAProxy as a building block: its text, its Runtime API, its process, and the decisions that keep them in step.

`state.py` has the vocabulary, `config.py` (HTTP) and `dbconfig.py` (TCP for PostgreSQL) write the text, `decide.py` and
`failopen.py` are the policies, `runtime_api.py` and `process.py` the two ways to act (`answers.py` reads what comes
back), `controller.py` joins them. What a replica or a database node is, when one starts and which is primary is decided
elsewhere: here they are servers in slots of a pool.
"""
