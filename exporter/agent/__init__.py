"""The agent as a process: put together, started, told to stop, supervised.

Read `agent` (the parts), then `run` (the commands that last until a signal); `signals`,
`systemd`, `windows_service` and `memory` serve them. Internal.
"""
