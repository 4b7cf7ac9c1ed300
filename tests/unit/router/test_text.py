"""A keyword matches words as its script writes them."""

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.router.domain import compile as index
from services.router.domain import rules, text
from services.router.domain.facts import Facts


def matches(keyword: str, body: str) -> bool:
    document = rules.parse(
        {
            "fallback": {"team": "community"},
            "rules": [{"name": "r", "when": {"keywords": {"any": [keyword]}}, "then": {"team": "care"}}],
        }
    )
    return index.compile_rules(document).decide(Facts(network="n", text=body)).rule == "r"


@pytest.mark.parametrize(
    ("keyword", "body"),
    [
        ("refund", "I want a REFUND!"),
        ("refund", "refund"),
        ("refund", "(refund)"),
        ("refund", "#refund now"),
        pytest.param("cat*", "many cats here", id="a wildcard where others stem"),
        pytest.param("straße", "STRASSE 5", id="case folding, not lower case"),
        pytest.param("café", "cafe\u0301 au lait", id="combining accents"),
        pytest.param("退款", "我要退款谢谢", id="no boundaries where a script has none"),
        ("返金", "返金してください"),
        pytest.param("환불", "환불해주세요", id="Korean particles follow without a space"),
        pytest.param("ガラス", "ｶﾞﾗｽが割れた", id="half-width kana"),
        ("refund", "ＲＥＦＵＮＤ please"),
        pytest.param("istanbul", "İSTANBUL'da", id="Turkish dotted capital I"),
        pytest.param("out of stock", "still out  of\n stock?", id="double spaces and line breaks in a phrase"),
        pytest.param("คืนเงิน", "ฉันอยากคืนเงินค่ะ", id="Thai writes no spaces"),
        ("refund", "re\u200bfund"),
        ("refund", "re\u034ffund"),
        ("refund", "é re\u034ffund"),
        ("?", "when?"),
        ("❤️", "❤love"),
        ("❤", "so much ❤️!"),
        ("❤️", "a❤️b"),
        ("👍", "👍🏽👍🏽"),
        ("👩‍🚀", "hi👩‍🚀"),
        ("🇩🇪", "aus 🇩🇪"),
        ("возврат*", "Хочу возврата денег"),
        ("refund", "退款refund谢谢"),
    ],
)
def test_a_keyword_is_found_as_its_script_writes_it(keyword, body):
    assert matches(keyword, body)


@pytest.mark.parametrize(
    ("keyword", "body"),
    [
        pytest.param("cat", "concatenate", id="a word within a word"),
        pytest.param("cat", "cats", id="nothing is stemmed"),
        ("broken", "unbroken"),
        ("über", "süüüber"),
        ("fund", "refund"),
        pytest.param("불", "환불해주세요", id="Hangul begins words"),
        ("id", "did"),
        ("refund", ""),
    ],
)
def test_a_part_of_another_word_is_not_found(keyword, body):
    assert not matches(keyword, body)


@pytest.mark.parametrize("body", ["", " \n ", "a  b", "\u202eevil\u202c", "Ａ"])
def test_normalizing_twice_changes_nothing_more(body):
    assert text.normalize(text.normalize(body)) == text.normalize(body)


INVISIBLE = {
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2065),
    0x00AD,
    0xFE0E,
    0xFE0F,
    0xFEFF,
    0x034F,
    0x180E,
}


@given(
    st.one_of(
        st.text(),
        st.text(st.characters(codec="ascii")),
        st.text(st.sampled_from("İi\u0307\u200b\u00ad\u034f\ufe0fＡ é\t")),
    )
)
def test_the_short_ways_give_what_the_definition_says(body):
    folded = unicodedata.normalize("NFKC", body).casefold().replace("i\u0307", "i")
    visible = "".join(character for character in folded if ord(character) not in INVISIBLE)
    assert text.normalize(body) == re.sub(r"\s+", " ", unicodedata.normalize("NFC", visible)).strip()
