"""The ruleset that every workspace starts with: complaints and questions to care, product questions to product."""

from collections.abc import Mapping
from typing import Any, Final

from shared.events.routing import Lane

Lexicon = Mapping[str, tuple[str, ...]]

CARE: Final[Lexicon] = {
    "en": (
        "refund*", "complain*", "broken", "defective", "damaged", "scam*", "fraud", "terrible", "awful", "worst",
        "disappoint*", "unacceptable", "never arrived", "not working", "doesn't work", "does not work", "cancel my",
        "still waiting", "money back", "ripped off", "angry", "lawyer", "rude",
    ),
    "es": ("reembolso", "devolución", "estafa", "queja*", "roto", "defectuoso", "pésimo", "no funciona", "no llegó"),
    "pt": ("devolução", "golpe", "quebrado", "reclama*", "não funciona", "não chegou", "péssimo"),
    "fr": (
        "remboursement", "rembours*", "arnaque", "cassé", "défectueux", "ne marche pas", "ne fonctionne pas", "déçu*",
    ),
    "it": ("rimborso", "truffa", "rotto", "difettoso", "non funziona", "deluso"),
    "de": (
        "rückerstattung", "erstattung", "betrug", "kaputt", "defekt", "beschwerde", "funktioniert nicht", "enttäuscht",
    ),
    "nl": ("terugbetaling", "kapot", "oplichting", "klacht"),
    "pl": ("zwrot", "oszustwo", "zepsut*"),
    "tr": ("iade", "bozuk", "şikayet*"),
    "ru": ("возврат*", "верните", "сломан*", "обман*", "жалоб*", "не работает"),
    "uk": ("повернення", "зламан*"),
    "ar": ("استرداد", "شكوى", "احتيال"),
    "hi": ("रिफंड", "शिकायत", "धोखा"),
    "ja": ("返金", "壊れ", "詐欺", "不良品", "クレーム"),
    "ko": ("환불", "고장", "사기", "불만"),
    "zh": ("退款", "投诉", "投訴", "骗子", "坏了", "差评"),
}  # fmt: skip
PRODUCT: Final[Lexicon] = {
    "en": (
        "which size", "what size", "size chart", "colour", "color", "specs", "compatible", "warranty", "ingredients",
        "vegan", "waterproof", "battery", "when will it launch", "release date", "does it come", "difference between",
    ),
    "es": ("talla", "tallas", "garantía", "ingredientes", "compatible con"),
    "pt": ("tamanho", "garantia"),
    "fr": ("taille", "garantie", "ingrédients"),
    "it": ("taglia", "garanzia"),
    "de": ("größe", "inhaltsstoffe"),
    "ru": ("размер", "гарантия"),
    "tr": ("beden",),
    "ja": ("サイズ", "保証"),
    "ko": ("사이즈",),
    "zh": ("尺码", "保修"),
}  # fmt: skip
SALES: Final[Lexicon] = {
    "en": ("how much", "price", "in stock", "out of stock", "available in", "pre-order", "preorder"),
    "es": ("cuánto cuesta", "precio", "disponible"),
    "pt": ("quanto custa", "preço", "disponível"),
    "fr": ("combien", "prix", "disponible en"),
    "it": ("quanto costa", "prezzo", "disponibile"),
    "de": ("wie viel kostet", "preis", "verfügbar", "lieferbar"),
    "ru": ("сколько стоит", "цена", "в наличии"),
    "tr": ("ne kadar", "fiyat*", "stokta"),
    "ja": ("いくら", "値段", "価格", "在庫"),
    "ko": ("가격", "얼마", "재고"),
    "zh": ("价格", "多少钱", "有货"),
}
ENGAGEMENT: Final[Lexicon] = {
    "en": ("thank you", "thanks", "love it", "love this", "so good", "congrats", "congratulations", "well done"),
    "es": ("gracias", "me encanta", "felicidades"),
    "pt": ("obrigado", "obrigada", "adorei", "parabéns"),
    "fr": ("merci", "j'adore", "bravo", "félicitations"),
    "it": ("grazie", "lo adoro", "complimenti"),
    "de": ("danke", "liebe es", "glückwunsch"),
    "ru": ("спасибо", "обожаю", "поздравля*"),
    "tr": ("teşekkür*", "bayıldım"),
    "ja": ("ありがとう", "大好き", "おめでとう"),
    "ko": ("감사", "최고", "축하"),
    "zh": ("谢谢", "太喜欢", "恭喜"),
}
AWARENESS: Final[Lexicon] = {
    "en": ("collab*", "partnership", "sponsor*", "influencer", "press inquiry", "media kit", "ambassador"),
    "es": ("colaboración", "patrocin*", "prensa", "embajador*"),
    "pt": ("colaboração", "parceria", "patrocín*", "imprensa"),
    "fr": ("collaboration", "partenariat", "presse"),
    "de": ("kooperation*", "zusammenarbeit", "presseanfrage"),
    "ja": ("コラボ", "取材"),
    "ko": ("협업", "협찬"),
    "zh": ("合作", "代言"),
}
QUESTION: Final = ("?", "؟", "how do i", "can you help", "help me", "need help", "please help", "ayuda", "hilfe")

_LEXICONS: Final[Mapping[Lane, Lexicon]] = {
    "awareness": AWARENESS,
    "engagement": ENGAGEMENT,
    "care": CARE,
    "sales": SALES,
    "product": PRODUCT,
}


def document() -> dict[str, Any]:
    """The preset, as a document that a community manager can read and change."""
    return {
        "lanes": {lane: {code: list(words) for code, words in some.items()} for lane, some in _LEXICONS.items()},
        "rules": [
            {
                "name": "complaints",
                "when": {"lane": "care"},
                "then": {"team": "care", "priority": "high", "tags": ["complaint"], "lane": "care"},
            },
            {
                "name": "product questions",
                "when": {"lane": "product"},
                "then": {"team": "product", "tags": ["product"], "lane": "product"},
            },
            {
                "name": "buying questions",
                "when": {"lane": "sales"},
                "then": {"team": "product", "tags": ["product"], "lane": "sales"},
            },
            {
                "name": "questions",
                "when": {"text": list(QUESTION)},
                "then": {"team": "care", "tags": ["question"], "lane": "care"},
            },
            {"name": "partners and press", "when": {"lane": "awareness"}, "then": {"lane": "awareness"}},
            {"name": "praise", "when": {"lane": "engagement"}, "then": {"lane": "engagement"}},
        ],
        "fallback": {"team": "community"},
    }
