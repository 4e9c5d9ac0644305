"""The Linux source: rtnetlink messages as notifications.

Read `source` (the socket, and what to do on loss), `links` (the table of all links), then what
changes it: `notifications`, `requests` and their `replies`, and `neighbor_timers`. `link_state`
is one link, `rows` its rows, `carrier` finds its unobserved flaps, `index_reuse` keeps its LUID
apart from that of an earlier link. `transition_cache` and `message_templates` make repeated
messages cheap; `message_trace` logs all messages. Internal.
"""
