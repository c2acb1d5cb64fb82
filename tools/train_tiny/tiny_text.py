"""The text that the tiny model learns from, and its tokeniser (byte pair encoding).

The text is the King James Bible of Debian's package bible-kjv-text: one verse a line, without the references,
chapters apart. Its last twentieth (cut at a chapter) is held out: neither tokeniser nor model ever trains on it.
"""
import collections
import re
import subprocess

END = 0  # the end-of-text token; bytes are 1..256, merges follow
FIRST_MERGE = 257
HELD_OUT = 0.05

# One chunk a match; merges never cross chunks. The tokeniser in C splits in the same way:
# an optional space and a run of letters, of digits, or of non-ASCII bytes; else one byte.
CHUNK = re.compile(rb" ?[A-Za-z]+| ?[0-9]+| ?[\x80-\xff]+|[\x00-\xff]", re.DOTALL)
CHUNK_MAX = 32  # longer runs are cut


def chapters():
    """List of chapters, each the bytes of its verses, one a line."""
    lines = subprocess.run(["bible", "-f", "Gen1:1-Rev22:21"], stdout=subprocess.PIPE, check=True).stdout
    found, last = [], None
    for line in lines.splitlines():
        where, verse = line.split(b" ", 1)
        chapter = where.split(b":")[0]
        if chapter != last:
            found.append([])
            last = chapter
        found[-1].append(b" ".join(verse.split()))
    return [b"\n".join(verses) + b"\n" for verses in found]


def split(found):
    """(training chapters, held-out chapters)."""
    total, seen = sum(map(len, found)), 0
    for k, chapter in enumerate(found):
        if seen >= (1 - HELD_OUT) * total:
            return found[:k], found[k:]
        seen += len(chapter)
    raise ValueError("no text")


def chunks(text):
    for match in CHUNK.finditer(text):
        chunk = match.group()
        for k in range(0, len(chunk), CHUNK_MAX):
            yield chunk[k:k + CHUNK_MAX]


def learn_merges(texts, vocab):
    """The most frequent pair again and again, ties to the smallest ids, so that the result is reproducible."""
    counts = collections.Counter(c for text in texts for c in chunks(text))
    words = [[list(b + 1 for b in chunk), n] for chunk, n in sorted(counts.items())]
    pairs, where = collections.Counter(), collections.defaultdict(set)
    for k, (ids, n) in enumerate(words):
        for pair in zip(ids, ids[1:]):
            pairs[pair] += n
            where[pair].add(k)
    merges = []
    while FIRST_MERGE + len(merges) < vocab:
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        new = FIRST_MERGE + len(merges)
        merges.append(best)
        for k in sorted(where.pop(best)):
            ids, n = words[k]
            for pair in zip(ids, ids[1:]):
                pairs[pair] -= n
                where[pair].discard(k)
            ids[:] = merge(ids, best, new)
            for pair in zip(ids, ids[1:]):
                pairs[pair] += n
                where[pair].add(k)
        del pairs[best]
    return merges


def merge(ids, pair, new):
    out, k = [], 0
    while k < len(ids):
        if k + 1 < len(ids) and (ids[k], ids[k + 1]) == pair:
            out.append(new)
            k += 2
        else:
            out.append(ids[k])
            k += 1
    return out


class Tokenizer:
    def __init__(self, merges):
        self.rank = {tuple(pair): FIRST_MERGE + k for k, pair in enumerate(merges)}
        self.cache = {}

    def encode(self, text):
        ids = []
        for chunk in chunks(text):
            if chunk not in self.cache:
                self.cache[chunk] = self.encode_chunk(chunk)
            ids += self.cache[chunk]
        return ids

    def encode_chunk(self, chunk):
        ids = [b + 1 for b in chunk]
        while len(ids) > 1:
            new, pair = min((self.rank.get(pair, 1 << 30), pair) for pair in zip(ids, ids[1:]))
            if new == 1 << 30:
                break
            ids = merge(ids, pair, new)
        return ids
