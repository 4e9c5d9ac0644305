"""The agent as a process: assembled, started, supervised and stopped.

Read `agent` (assembles the parts), then `run` (the commands that run until a signal). They use
`signals`, `systemd` and `memory_tuning`; `check_config` loads and validates the settings;
`windows_service` runs the agent as a Windows service. Internal.
"""
