"""Invented texts to compare an export on if no file is given. They differ in length and words, and some are odd."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from kd_keras.common.ragged import Ragged
from kd_keras.tasks import Rows, Task, no_labels

TEXTS = (
    "",
    "good",
    "a warm and funny story about two sisters who open a bakery by the sea",
    "!!!",
    "the plot makes no sense and the jokes are older than the cast",
    "nobody in my row laughed once",
    "I would happily watch it again tomorrow.",
    "Is this the worst sequel of the year, or only of the month?",
    "not bad, not good, just long",
    "A small miracle: quiet, patient, and beautifully filmed.",
    "the battery lasts two days but the screen scratches if you look at it",
    "?",
    "how do I reset the password of my router",
    "our train was late, the hotel was cold, and yet it was the best trip we ever took",
    "shares of the company fell 4.5 % after the report on Tuesday",
    "terrible",
    "the museum opens at nine and closes at five on weekdays",
    "Wer hat den Kuchen gegessen?",
    "une comédie légère, drôle et un peu triste",
    "the acting is wooden, the music is loud, the ending is a shrug",
    "an honest film that trusts its audience",
    "(sic)",
    "the minister said on Monday that talks would go on until a deal is signed",
    "what a waste of a wonderful idea",
    "she plays the violin as if nobody had ever told her it was difficult",
    "5 stars",
    "0 / 10, would not recommend to my enemies",
    "the second half drags; the third, if there is one, must be worse",
    "it never once feels false",
    "Why are there so many explosions in a film about chess?",
    "the soup was hot, the bread was fresh, the waiter was kind",
    "…",
    "the goalkeeper saved two penalties and his team won the cup for the first time since 1987",
    "tender without being soft, clever without showing off",
    "boring boring boring boring boring boring boring boring boring boring boring boring",
    "an engine noise so loud that you cannot hear the radio",
    "ok",
    "the city was founded in the ninth century on the left bank of the river",
    "this is what happens when a studio counts money instead of ideas",
    "a gem",
    "my phone died after the update and support has not answered for three weeks",
    "the children loved it, their parents slept through it",
    "who wrote this dialogue, and can somebody please stop them",
    "中文 and English in one sentence",
    "great fun 🙂 from start to finish 🎬",
    "don't believe the trailer: it's the only exciting part",
    "naïve, café-society chatter — “witty”, they say",
    "the author explains each step twice and still manages to lose the reader",
    "a slow start, a strong middle, and a finale that made me stand up and clap",
    "Where can I buy tickets for the concert on Saturday?",
    "scientists have found water under the surface of a moon that was thought to be dry",
    "meh",
    "the camera lingers on faces until they tell you what the script leaves out",
    "not one of the four writers seems to have met a teenager",
    "he left before the credits, and so should you",
    "antidisestablishmentarianism is a long word for a short review",
    "loud, proud, and entirely without shame",
    "the sauce is bland. the pasta is cold. the bill is not small. we will not come back.",
    "a love letter to old cinemas that smells of popcorn and rain",
    "the lesson of the story is told in its first minute, repeated in its second, and shouted for the next ninety, "
    "while a fine cast walks from room to room and looks for something to do, a score of violins tells us what to "
    "feel, a dog runs in and out of the frame for reasons that are never given, and at last the sun comes up over a "
    "field of wheat, as it has to in films that do not know how to stop and hope that the light will do it for them",
    "thanks to a leading lady who is never less than brilliant, even the silly parts work",
)


# For taggers: people, places and organisations in several scripts, and sentences without a name.
SENTENCES = (
    "Ada Lovelace was born in London .",
    "The river Elbe flows through Dresden , Hamburg and many villages .",
    "Nobody came .",
    "In May the Bank of Otterville opened an office in Lisbon .",
    "Mrs. O'Neill met Jean-Luc Fabre at the University of Coimbra on Tuesday",
    "I would like two tickets , please .",
    "Die Stadtwerke Musterhausen suchen Frau Dr. Erika Beispiel .",
    "Maria Fernandes vive em Salvador da Bahia desde 1998 .",
    "Anna Kowalska pojechała z Łodzi do Gdańska .",
    "Мария Иванова живёт в Казани и работает в университете .",
    "Η Ελένη μένει στη Θεσσαλονίκη .",
    "سافرت ليلى من القاهرة إلى عمان .",
    "דנה גרה בחיפה .",
    "राम दिल्ली में रहता है ।",
    "田 中 さ ん は 東 京 に 住 ん で い ま す 。",
    "김민수는 부산에서 일한다 .",
    "สมชาย อยู่ ที่ เชียงใหม่",
    "🙂 Zoë visited São Tomé 🏝️ with José .",
    "the quarterly report of Northwind & Sons Ltd. was late",
    "Why did Bishop leave Reading for Nice ?",
)
# Hard cases for taggers: no words, one word, a word without a piece, more words than any window holds.
_ODD_SENTENCES = ("", ".", "Paris", "a \u200b b", " ".join(SENTENCES))


def built_in(task: Task) -> Rows:
    """The texts as rows without labels. A pair task gets each text with another one further down the list."""
    if task.is_tagging:
        return unlabelled(task, [*SENTENCES, *(" ".join(t.split()) for t in TEXTS)], None)
    count = len(TEXTS)
    text_b = [TEXTS[(7 * i + 3) % count] for i in range(count)] if task.is_pair else None
    return unlabelled(task, list(TEXTS), text_b)


def with_edge_cases(task: Task, rows: Rows) -> Rows:
    """Adds an empty text and one of a single mark between ``rows``, so that they have neighbors.

    A tagger also gets a single word, a word without a piece, and a sentence longer than most windows.
    """
    odd = list(_ODD_SENTENCES) if task.is_tagging else ["", "."]
    empty = unlabelled(task, odd, ["", ""] if task.is_pair else None)
    empty = replace(empty, label=no_labels(rows.label, len(odd)))
    half = len(rows) // 2
    parts = [rows.take(range(half)), empty, rows.take(range(half, len(rows)))]
    text_b = [t for p in parts for t in p.text_b] if task.is_pair else None
    return Rows(
        [f"check-{i}" for i in range(len(rows) + len(odd))],
        [t for p in parts for t in p.text],
        text_b,
        (Ragged if task.is_tagging else np).concatenate([p.label for p in parts]),
    )


def spread(rows: Rows, most: int) -> Rows:
    """At most ``most`` rows, evenly spread over all."""
    if len(rows) <= most:
        return rows
    return rows.take(np.linspace(0, len(rows) - 1, most).astype(np.int64))


def unlabelled(task: Task, text: list[str], text_b: list[str] | None) -> Rows:
    """Texts as rows without labels."""
    return task.rows(text, text_b, "check")
