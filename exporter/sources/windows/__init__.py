"""The Windows source: NotifyIpInterfaceChange's callback as notifications.

Read `source`, then `registration` (the callback and its queue) and `rows`. Internal.
"""
