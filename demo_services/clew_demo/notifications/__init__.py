"""Notifications: takes requests from a queue, sends mails until it is done, and replies to another queue."""
