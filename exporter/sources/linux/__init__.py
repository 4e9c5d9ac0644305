"""The Linux source: rtnetlink messages as notifications.

Read `source` (the sockets and what to do on loss), `links` (the mapping), `link_state` and
`rows` (one link, one row), `carrier` (unobserved flaps), `listing`; `transition_cache` and
`templates` make what repeats cheap. Internal.
"""
