"""From notifications to exact counts.

Read `thread` (the monitor thread), `state` (the reducer), `series_table` (which series set an
interface has), `series` (the numbers of one); `recording_writer` writes what it observes to a file.
Internal.
"""
