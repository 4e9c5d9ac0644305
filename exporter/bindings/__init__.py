"""The interfaces of the systems, under their own names: iphlpapi.dll and rtnetlink.

Windows: `netioapi` (structures), `iphlpapi` (functions), `winerror` (status codes). Linux:
`rtnetlink` (messages), `rtnetlink_socket`. Internal.
"""
