"""The ruleset that every workspace starts with: complaints and questions to care, product questions to product."""

from typing import Any, Final

COMPLAINT: Final = (
    # en
    "refund*", "complain*", "broken", "defective", "damaged", "scam*", "fraud", "terrible", "awful", "worst",
    "disappoint*", "unacceptable", "never arrived", "not working", "doesn't work", "does not work", "cancel my",
    "still waiting", "money back", "ripped off", "angry", "lawyer", "rude",
    # es, pt, fr, it
    "reembolso", "devolución", "estafa", "queja*", "roto", "defectuoso", "pésimo", "no funciona", "no llegó",
    "devolução", "golpe", "quebrado", "reclama*", "não funciona", "não chegou", "péssimo",
    "remboursement", "rembours*", "arnaque", "cassé", "défectueux", "ne marche pas", "ne fonctionne pas", "déçu*",
    "rimborso", "truffa", "rotto", "difettoso", "non funziona", "deluso",
    # de, nl, pl, tr
    "rückerstattung", "erstattung", "betrug", "kaputt", "defekt", "beschwerde", "funktioniert nicht", "enttäuscht",
    "terugbetaling", "kapot", "oplichting", "klacht", "zwrot", "oszustwo", "zepsut*", "iade", "bozuk", "şikayet*",
    # ru, uk, ar, hi, ja, ko, zh
    "возврат*", "верните", "сломан*", "обман*", "жалоб*", "не работает", "повернення", "зламан*",
    "استرداد", "شكوى", "احتيال", "रिफंड", "शिकायत", "धोखा",
    "返金", "壊れ", "詐欺", "不良品", "クレーム",
    "환불", "고장", "사기", "불만", "退款", "投诉", "投訴", "骗子", "坏了", "差评",
)  # fmt: skip
PRODUCT: Final = (
    # en
    "how much", "price", "in stock", "out of stock", "available in", "which size", "what size", "size chart",
    "colour", "color", "specs", "compatible", "warranty", "ingredients", "vegan", "waterproof", "battery",
    "when will it launch", "pre-order", "preorder", "release date", "does it come", "difference between",
    # es, pt, fr, it, de
    "cuánto cuesta", "precio", "talla", "tallas", "disponible", "garantía", "ingredientes", "compatible con",
    "quanto custa", "preço", "tamanho", "disponível", "garantia",
    "combien", "prix", "taille", "disponible en", "garantie", "ingrédients",
    "quanto costa", "prezzo", "taglia", "disponibile", "garanzia",
    "wie viel kostet", "preis", "größe", "verfügbar", "lieferbar", "inhaltsstoffe",
    # ru, tr, ja, ko, zh
    "сколько стоит", "цена", "размер", "в наличии", "гарантия", "ne kadar", "fiyat*", "beden", "stokta",
    "いくら", "値段", "価格", "サイズ", "在庫", "保証",
    "가격", "얼마", "사이즈", "재고", "价格", "多少钱", "尺码", "有货", "保修",
)  # fmt: skip
QUESTION: Final = ("?", "؟", "how do i", "can you help", "help me", "need help", "please help", "ayuda", "hilfe")


def document() -> dict[str, Any]:
    """The preset, as a document that a community manager can read and change."""
    return {
        "rules": [
            {
                "name": "complaints",
                "when": {"keywords": {"any": list(COMPLAINT)}},
                "then": {"team": "care", "priority": "high", "tags": ["complaint"]},
            },
            {
                "name": "product questions",
                "when": {"keywords": {"any": list(PRODUCT)}},
                "then": {"team": "product", "tags": ["product"]},
            },
            {
                "name": "questions",
                "when": {"keywords": {"any": list(QUESTION)}},
                "then": {"team": "care", "tags": ["question"]},
            },
        ],
        "fallback": {"team": "community"},
    }
