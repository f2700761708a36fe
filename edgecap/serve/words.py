"""Sentences that hold the words of a question, by SQLite's full-text index: rarer words count for more."""

import re
import sqlite3

_FUNCTION_WORDS = """
    a an and any anybody anyone anything are as at be been before by can could did do does for from
    get go goes going got had has have hear heard her his how i if in into is it its just me my of
    off on or our out over she some somebody someone something that the their them then there they
    this to up us was we went were what when where which while who why will with would you your yes
    no not he him noise noises sound sounds
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words of questions that name no sound. Where a question has no others, they are looked for all the same."""
MOST_WORDS = 32


def matching(reader: sqlite3.Connection, text: str, most: int) -> list[int]:
    """Rows of `text` with any word of the question, best first; bark, barks, barked are alike."""
    query = fts_query(text)
    if not query:
        return []
    rows = reader.execute("SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT ?", (query, most))
    return [row for (row,) in rows]


def fts_query(text: str) -> str:
    """The question in FTS5's own language; "" where it has no word."""
    found = list(dict.fromkeys(re.findall(r"[^\W_]+", text.lower())))
    named = [word for word in found if word not in FUNCTION_WORDS] or found
    return " OR ".join(f'"{word}"' for word in named[:MOST_WORDS])


def phrase(text: str) -> str:
    """What finds these words, one behind the other, in FTS5's language."""
    return '"' + " ".join(re.findall(r"[^\W_]+", text.lower())) + '"'
