"""The source of Windows: NotifyIpInterfaceChange's callback as notifications.

Read `source`, then `registration` (the callback and its queue), `reader` (what is read after a
notification) and `rows` (the conversion of Windows' structures). Internal.
"""
