"""The settings: what users write on the command line and in files, as typed values.

Read `schema` (every option, declared once), then `options` (how one is declared and parsed),
`command_line` (flags and help) and `loader` (flags, file and environment together). `units`,
`listen_address` and `regex` parse values; `files` and `strict_yaml` read files; `selection` filters
and groups interfaces. Internal.
"""
