"""What rules come to: an action, and what each of them has to tell about the ticket, by the rule's name."""

from services.router.domain.rules import Action
from shared.events.routing import Flag


class Outcome(Action, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What rules come to: `flags` stand for what each of them tells, by the rule's name."""

    flags: tuple[Flag, ...] = ()


def of_rule(name: str, action: Action) -> Outcome:
    """What one rule comes to."""
    fields = {one: getattr(action, one) for one in Action.__struct_fields__}
    notify, webhook = fields.pop("notify"), fields.pop("webhook")
    if notify is None and webhook is None:
        return Outcome(**fields)
    flag = Flag(
        rule=name,
        text=notify.text if notify else None,
        team=notify.team if notify else None,
        agents=notify.agents if notify else (),
        endpoint=webhook.endpoint if webhook else None,
    )
    return Outcome(**fields, flags=(flag,))
