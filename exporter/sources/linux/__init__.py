"""The Linux source: rtnetlink messages as notifications.

Read `source` (the sockets and what to do on loss), `links` (what notifications amount to),
`questions` and `replies` (what is asked, and what answers amount to), `link_state` and `rows`
(one link, one row), `carrier` (unobserved flaps), `lives` (whose LUID), `neighbor_timers`;
`transition_cache` and `message_templates` make what repeats cheap, `trace` logs it all. Internal.
"""
