"""What people write, on the command line and in the configuration file, as typed values.

`schema` declares every option once; `options` says how one is declared and parsed,
`command_line` and `loader` read flags and file. Internal.
"""
