"""Titles in many languages are found however one types them."""

from __future__ import annotations

import pytest

from tests.builders import Client, make_movie

#: The queries that viewers type for each title.
TITLES = {
    "Die fetten Jahre über der Straße": [
        "uber", "ueber", "Über", "ÜBER", "U\u0308BER", "strasse", "STRASSE", "straße", "STRAẞE",
        "Stra", "fetten uber",
    ],
    "Händler der vier Jahreszeiten": ["handler", "haendler", "HÄNDLER", "haendl", "handl"],
    "Le Fabuleux Destin d'Amélie Poulain": [
        "amelie", "AMÉLIE", "Ame\u0301lie", "d'amélie", "d’amelie", "damelie", "amel", "fabu",
        "destin poul",
    ],
    "El ángel exterminador de mañana": ["angel", "ÁNGEL", "manana", "MAÑANA", "exter", "ang"],
    "Kış Uykusu İçin Işık": [
        "kis", "KIŞ", "kış", "KİS", "icin", "İÇİN", "ıçın", "isik", "IŞIK", "ışık", "uyku",
    ],
    "Μια αιωνιότητα και ο Ὀδυσσεύς": [
        "αιωνιοτητα", "ΑΙΩΝΙΌΤΗΤΑ", "αιωνι", "οδυσσευς", "Οδυσσεύς", "ΟΔΥΣΣΕΥΣ", "οδυσσευσ",
        "οδυσ",
    ],
    "Андрей Рублёв и ёлка": [
        "андрей", "АНДРЕИ", "рублев", "Рублёв", "РУБЛЁВ", "елка", "Ёлка", "руб",
    ],
    "七人の侍": ["七人の侍", "七人", "七", "侍", "人の", "の侍"],
    "千と千尋の神隠し": ["千尋", "神隠し", "隠し", "し"],
    "アキラ ガンダム": ["アキラ", "ｱｷﾗ", "キラ", "ガンダム", "ｶﾞﾝﾀﾞﾑ"],
    "ＡＫＩＲＡ ２": ["akira", "ＡＫＩ", "akira 2"],
    "기생충": ["기생충", "기생", "생충", "충", "\u1100\u1175생"],
    "花樣年華": ["花樣", "年華", "樣年"],
    "ลุงบุญมีระลึกชาติ": ["บุญมี", "ลุง"],
    "Popiół i diament": ["popiol", "POPIÓŁ", "popi"],
    "Rødhætte på Århus": ["rodhaette", "RØDHÆTTE", "roedhaette", "arhus", "aarhus", "pa"],
    "שלום \u200fעולם": ["שלום", "עולם", "\u200fעולם", "של"],
    "وَجْدَة": ["وجدة", "وَجْدَة"],
    "٢٠٠١": ["2001", "٢٠٠١", "２００１"],
    "Spider-Man": ["spider-man", "spider man", "SPIDERMAN", "spiderm", "man", "spider\u2010man"],
    "M*A*S*H": ["mash", "m*a*s*h", "MAS"],
    "Ocean's Eleven": ["oceans", "ocean's", "OCEAN’S", "ocean elev"],
    "WALL·E": ["walle", "wall e", "wall-e"],
    "L'Avventura": ["avventura", "lavventura", "L’AVV"],
    "Q&A": ["q&a", "qa", "q a"],
    "🎬 Emoji 👩🏽‍🚀": ["emoji", "🎬 emoji", "emo"],
}  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("title", TITLES)
def test_a_title_is_found_however_it_is_typed(anonymous: Client, title: str) -> None:
    make_movie(name=title, protagonists=["Nobody"])
    make_movie(name="Another", protagonists=["Someone"], overview="Of something else.")
    for typed in TITLES[title]:
        answer = anonymous.get("/movies", q=typed)
        assert answer.status_code == 200, answer.content
        assert [movie["name"] for movie in answer.json()["data"]] == [title], typed
