"""What the systems offer, under its own names: iphlpapi.dll and rtnetlink."""
