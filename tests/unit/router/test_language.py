"""The language of short messages is told right or not at all, and only when a rule asks for it."""

import subprocess
import sys

import pytest

from services.router.domain import compile as index
from services.router.domain import explain, language, rules
from services.router.domain.facts import Facts

SHORT = {
    "en": ["Where is my order?", "This is broken, I want a refund", "worst service ever"],
    "es": ["¿Dónde está mi pedido?", "cuánto cuesta", "no funciona la app"],
    "pt": ["onde está meu pedido?", "quanto custa o frete", "quero meu dinheiro de volta"],
    "fr": ["où est ma commande ?", "combien ça coûte", "ça ne marche pas"],
    "de": ["Wo ist meine Bestellung?", "das funktioniert nicht", "vielen Dank"],
    "it": ["dov'è il mio ordine?", "voglio un rimborso"],
    "nl": ["waar is mijn bestelling?", "het werkt niet"],
    "tr": ["siparişim nerede?", "teşekkürler"],
    "pl": ["gdzie jest moje zamówienie?", "nie działa"],
    "ru": ["где мой заказ?", "хочу вернуть деньги"],
    "uk": ["де моє замовлення?", "хочу повернути гроші"],
    "ar": ["أين طلبي؟", "أريد استرداد أموالي"],
    "hi": ["मेरा ऑर्डर कहाँ है?", "मुझे रिफंड चाहिए"],
    "ja": ["注文はどこですか？", "返金してください"],
    "ko": ["환불해주세요", "감사합니다"],
    "zh": ["我的订单在哪里？", "我要退款"],
    "vi": ["đơn hàng của tôi đâu?"],
    "th": ["ขอคืนเงิน", "ขอบคุณค่ะ"],
}


def test_short_messages_are_told_right():
    told = {(code, said): language.tell(said) for code, some in SHORT.items() for said in some}
    assert [(code, said, found) for (code, said), found in told.items() if found != code] == []


@pytest.mark.parametrize(
    "said", ["", "👍👍", "ok", "nice", "123", "https://shop.example/where-is-my-order", "#sale @ann"]
)
def test_what_belongs_to_many_languages_or_none_is_not_told(said):
    assert language.tell(said) is None


def test_links_mentions_and_hashtags_do_not_count():
    said = "@where_is_my_order das funktioniert nicht #customerservice https://shop.example/please-help-me"
    assert language.tell(said) == "de"


def test_rules_ask_for_the_language_and_it_is_explained():
    rule = {"name": "german", "when": {"language": ["de", "nl"]}, "then": {"tags": ["dach"]}}
    ruleset = index.compile_rules(rules.parse({"fallback": {"team": "community"}, "rules": [rule]}))
    facts = Facts(network="x", text="Wo ist meine Bestellung?")
    assert ruleset.decide(facts).action.tags == ("dach",)
    assert ruleset.decide(Facts(network="x", text="Where is it?")).action.tags == ()
    told = explain.explain(ruleset, facts)
    assert told["facts"]["language"] == told["matched"][0]["evidence"][0]["was"] == "de"


def test_a_ruleset_that_does_not_ask_for_it_loads_no_model():
    program = """
import sys
from services.router.domain import compile, explain, preset, rules
from services.router.domain.facts import Facts
explain.explain(compile.compile_rules(rules.parse(preset.document())), Facts(network="x", text="Wo ist es?"))
sys.exit("numpy" in sys.modules)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
