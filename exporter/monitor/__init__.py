"""From notifications to exact counts.

Read `thread` (the collector thread), `state` (the reducer), `series` (the numbers of one
label set); `recorder` writes what it observes to a file. Internal.
"""
