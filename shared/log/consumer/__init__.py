"""Consumers of the event log: a service describes one with `Consume`, the host runs it as a `Consumer`."""

from shared.log.consumer.consume import Beforehand, Consume, Handler, PoisonFlood, PoisonLimit
from shared.log.consumer.loop import Consumer

__all__ = ["Beforehand", "Consume", "Consumer", "Handler", "PoisonFlood", "PoisonLimit"]
