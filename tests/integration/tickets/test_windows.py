"""What may still be sent when the network's window has closed."""

from datetime import timedelta

from services.tickets.domain.window import WindowClosed
from shared.events.tickets import ReplyQueued
from tests.support.answers import Answers, agent
from tests.support.floor import AT, Floor

ANN = agent("agt_ann")


async def test_outside_the_window_only_a_template_is_taken_and_nothing_holds_it(floor: Floor) -> None:
    answers = Answers(floor, network="whatsapp")
    await answers.open()
    refused = await answers.write(ANN, "Hi")
    assert isinstance(refused, WindowClosed)
    assert refused.fields["deadline"] == (AT + timedelta(days=1, seconds=1)).isoformat()
    await answers.mark()
    assert (await answers.write(ANN, "", template="order_update:en_US"))["state"] == "queued"
    [queued] = [event.data for event in await answers.heard() if isinstance(event.data, ReplyQueued)]
    assert (queued.reply.template, queued.reply.window_until) == ("order_update:en_US", None)
