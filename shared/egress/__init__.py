"""The one way out: every request to the outside passes one address policy and ends in one of four ways."""

from shared.egress.client import Egress
from shared.egress.outcome import EgressRefused, NotSent, OutcomeUnknown, Response
from shared.egress.policy import AddressPolicy, check_url

__all__ = ["AddressPolicy", "Egress", "EgressRefused", "NotSent", "OutcomeUnknown", "Response", "check_url"]
