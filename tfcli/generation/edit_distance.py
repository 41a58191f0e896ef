"""The Levenshtein distance: how many characters must be inserted, deleted or replaced."""

from __future__ import annotations


def edit_distance(one: str, other: str) -> int:
    """The distance between two texts, in Unicode characters.

    A column of the table of distances is two bit vectors, of the rows where it grows and where it
    falls, so that a character of `other` takes a few operations on numbers of `len(one)` bits:
    Myers, "A fast bit-vector algorithm for approximate string matching", 1999, as simplified by
    Hyyrö, 2003.
    """
    if not one or not other:
        return len(one) + len(other)
    places: dict[str, int] = {}  # where each character is in `one`, as bits
    for place, character in enumerate(one):
        places[character] = places.get(character, 0) | 1 << place
    last, every = 1 << (len(one) - 1), (1 << len(one)) - 1
    grows, falls, distance = every, 0, len(one)
    for character in other:
        equal = places.get(character, 0)
        vertical = equal | falls
        horizontal = (((equal & grows) + grows) ^ grows) | equal
        up = falls | ~(horizontal | grows) & every
        down = grows & horizontal
        distance += bool(up & last) - bool(down & last)
        up, down = (up << 1 | 1) & every, (down << 1) & every
        grows, falls = down | ~(vertical | up) & every, up & vertical
    return distance
