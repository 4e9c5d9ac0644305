"""The commands for a person at a terminal: `list_interfaces` and `watch_changes`.

Only these modules import rich. Internal.
"""
