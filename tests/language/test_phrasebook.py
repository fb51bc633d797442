"""Phrases are recognised by their fixed words, and what the image put into their blanks stays as it is."""

from __future__ import annotations

import time

import pytest

from fwcheck.language.phrasebook import Phrasebook

BOOK = Phrasebook(
    [
        ("Account {name} has no password", "アカウント {name} にパスワードがない"),
        ("{count:d} of {all:d} programs lack {what:list}", "{all} 中 {count} のプログラムに{what}がない"),
        ("a canary", "カナリア"),
        ("fixed addresses, all", "固定アドレス（全て）"),
        ("It is started when: {why:text}. Nobody knows.", "起動条件：{why}。不明。"),
        ("The file {path} is open ({why})", "ファイル {path} が開いている（{why}）"),
        ("{what:any} is written by {who:w}", "{who} が{what}を書き込む"),
        ("{what:any} is the same in all units", "全機器で共通：{what}"),
        ("The key for {name}", "{name} 用の鍵"),
        ("Seen: {first} and {second}", "検出：{second} と {first}"),
        ("{path} may be written by {who}", "{path} は {who} が書き込める"),
        ("A first sentence.", "最初の文。"),
        ("A second one.", "次の文。"),
        ("Quoted: {quotes:items}.", "引用：{quotes}。"),
        ("and {count:d} more", "他 {count} 件"),
    ]
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Account root has no password", "アカウント root にパスワードがない"),
        ("Account a has no password has no password", "アカウント a has no password にパスワードがない"),
        ("Account {name} has no password", "アカウント {name} にパスワードがない"),
        ("3 of 17 programs lack a canary", "17 中 3 のプログラムにカナリアがない"),
        ("3 of 17 programs lack fixed addresses, all, a canary", "17 中 3 のプログラムに固定アドレス（全て）、カナリアがない"),
        ("x of 17 programs lack a canary", "x of 17 programs lack a canary"),
        ("Seen: left and right", "検出：right と left"),
        ("/tmp/x may be written by anybody", "/tmp/x は anybody が書き込める"),
        ("A first sentence. A second one.", "最初の文。次の文。"),
        ("A first sentence. Account a.b has no password", "最初の文。アカウント a.b にパスワードがない"),
        ("It is started when: a canary. Nobody knows.", "起動条件：カナリア。不明。"),
        ("Quoted: one thing; with a semicolon; and 3 more.", "引用：一件；他 3 件。"),
        ("A canary is written by root", "root がカナリアを書き込む"),
        ("A canary is written by root and others", "A canary is written by root and others"),
        ("The key for 10.0.0.1 is the same in all units", "全機器で共通：10.0.0.1 用の鍵"),
        ("nothing of this is known", "nothing of this is known"),
        ("", ""),
    ],
)  # fmt: skip
def test_a_text_is_told_by_the_phrase_that_fits(text: str, told: str) -> None:
    assert BOOK.say(text, {"one thing; with a semicolon": "一件"}) == told


def test_an_unknown_part_stays_and_is_not_called_known() -> None:
    assert BOOK.say("It is started when: the moon is full. Nobody knows.") == "起動条件：the moon is full。不明。"
    assert not BOOK.knows("It is started when: the moon is full. Nobody knows.")
    assert BOOK.knows("It is started when: a canary. Nobody knows.")
    assert BOOK.say("A first sentence. Something else.") == "最初の文。 Something else."


def test_a_text_that_was_cut_is_told_as_far_as_it_goes() -> None:
    whole = f"The file {'a' * 120} is open ({'b' * 20})"
    assert BOOK.say(whole[:-6]) == f"ファイル {'a' * 120} が開いている（{'b' * 15}）"
    account = f"Account {'a' * 120} has no password"
    assert BOOK.say(account[:-4]) == account[:-4]  # it may have said something else


@pytest.mark.parametrize(
    ("english", "other"), [("{a}", "{a}"), ("{a}{b} x", "{a}{b}"), ("Seen {a}", "検出"), ("Seen {a}", "検出 {b}")]
)
def test_a_phrase_that_would_lose_something_is_refused(english: str, other: str) -> None:
    with pytest.raises(ValueError, match="blank"):
        Phrasebook([(english, other)])


@pytest.mark.parametrize(
    "text",
    [
        "Account " * 200_000,
        "Seen: " + " and " * 300_000,
        "It is started when: " * 300 + "." * 300,
        "Quoted: " + "; " * 2_900 + ".",
        "1 of 1 programs lack " + ", " * 2_900,
        "A first sentence. " * 300,
    ],
)
def test_hostile_texts_cost_little(text: str) -> None:
    begun = time.process_time()
    BOOK.say(text)
    assert time.process_time() - begun < 1
