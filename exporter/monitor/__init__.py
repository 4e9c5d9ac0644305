"""From notifications to exact counts.

Read `thread` (the monitor thread), `state` (the reducer), `series_table` (which series set an
interface has) and `series` (the numbers of one). `difference` compares two states of an interface;
`history` remembers the latest changes for the landing page.

The monitor thread hands each batch, with what it changed, to its observers: `recording_writer`,
`otel.push`, the command watch. `describe` puts a change into words. Internal.
"""
