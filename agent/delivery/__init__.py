"""Delivery: drafts go in at `publisher.Publisher.publish`, and come out at the broker, whatever happens between.

inbox (memory, never blocks) → outbox (disk) → window (unacknowledged) → session, connection (MQTT)
"""
