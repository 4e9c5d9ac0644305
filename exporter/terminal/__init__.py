"""The commands for a person at a terminal: `list_interfaces` and `watch_changes`.

`text` puts interfaces and changes into words. Only these modules import rich. Internal.
"""
