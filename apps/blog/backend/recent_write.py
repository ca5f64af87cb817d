"""What a visitor has written, kept as a token in their own cookie: standbys that do not have it yet are passed over.

A cookie carries it, not a process: the next request reaches another replica. The frontend hands the cookie on to the
browser and back, without looking into it. What the token says and who may trust it is `colonnade.client`'s business.
"""

COOKIE = "recent_write"
