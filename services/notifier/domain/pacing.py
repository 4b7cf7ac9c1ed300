"""How fast one process sends on each channel: a few at once, so many per second, and not while it was told to wait."""

from dataclasses import dataclass
from typing import Final

CROWDED: Final = 0.05
"""Seconds until a channel with all its places taken is looked at again."""

_REMEMBER: Final = 4096


@dataclass(slots=True)
class _Channel:
    tokens: float
    filled_at: float
    sending: int = 0
    blocked_until: float = 0.0


class Pace:
    """Takes places and gives them back; times are seconds of the process's own clock."""

    def __init__(self, *, rate: float, at_once: int) -> None:
        self._rate = rate
        self._at_once = at_once
        self._burst = max(1.0, rate)
        self._channels: dict[str, _Channel] = {}

    def take(self, channel_id: str, now: float) -> float:
        """0 if the channel may send now, which takes a place; else the seconds to wait, and nothing is taken."""
        channel = self._channels.get(channel_id)
        if channel is None:
            self._forget_idle(now)
            channel = self._channels[channel_id] = _Channel(tokens=self._burst, filled_at=now)
        if channel.blocked_until > now:
            return channel.blocked_until - now
        if channel.sending >= self._at_once:
            return CROWDED
        channel.tokens = min(self._burst, channel.tokens + (now - channel.filled_at) * self._rate)
        channel.filled_at = now
        if channel.tokens < 1:
            return (1 - channel.tokens) / self._rate
        channel.tokens -= 1
        channel.sending += 1
        return 0.0

    def give_back(self, channel_id: str) -> None:
        """One of the channel's places is free again."""
        channel = self._channels.get(channel_id)
        if channel is not None and channel.sending:
            channel.sending -= 1

    def block(self, channel_id: str, *, until: float) -> None:
        """The network asked for a pause."""
        channel = self._channels.get(channel_id)
        if channel is not None:
            channel.blocked_until = max(channel.blocked_until, until)

    def _forget_idle(self, now: float) -> None:
        if len(self._channels) < _REMEMBER:
            return
        self._channels = {
            name: channel
            for name, channel in self._channels.items()
            if channel.sending or channel.blocked_until > now or now - channel.filled_at < self._burst / self._rate
        }
