"""Byte-level BPE in CLIP's format, in which every word of the vocabulary is one token."""

import json
import re
from collections import Counter

from files import write_text

END_OF_WORD = "</w>"
START, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters():
    """CLIP's printable stand-ins for the 256 bytes, in its order; key: the byte."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    letters = {byte: chr(byte) for byte in printable}
    others = [byte for byte in range(256) if byte not in letters]
    letters.update({byte: chr(256 + i) for i, byte in enumerate(others)})
    return letters


def merge_pair(parts, pair):
    merged, i = [], 0
    while i < len(parts):
        if tuple(parts[i:i + 2]) == pair:
            merged.append(parts[i] + parts[i + 1])
            i += 2
        else:
            merged.append(parts[i])
            i += 1
    return merged


def learn_merges(words):
    """The most frequent pair first, until each word is one piece. The same words give the same merges."""
    pieces = [[*word[:-1], word[-1] + END_OF_WORD] for word in words]
    merges = []
    while True:
        pairs = Counter(pair for parts in pieces for pair in zip(parts, parts[1:]))
        if not pairs:
            return merges
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        pieces = [merge_pair(parts, best) for parts in pieces]


def vocabulary_of(merges):
    letters = list(byte_letters().values())
    entries = letters + [letter + END_OF_WORD for letter in letters] + ["".join(pair) for pair in merges] + [START, END]
    return {entry: i for i, entry in enumerate(entries)}


def write(folder, words):
    """The vocabulary last: where it is, both are."""
    merges = learn_merges(words)
    write_text(f"{folder}/merges.txt", "#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    write_text(f"{folder}/vocab.json", json.dumps(vocabulary_of(merges), ensure_ascii=False, separators=(",", ":")))


class Tokenizer:
    """Of a folder with vocab.json and merges.txt."""

    pattern = re.compile(r"[a-z]+|[0-9]|[^\sa-z0-9]+")

    def __init__(self, folder):
        with open(f"{folder}/vocab.json", encoding="utf-8") as file:
            self.vocabulary = json.load(file)
        with open(f"{folder}/merges.txt", encoding="utf-8") as file:
            lines = file.read().splitlines()[1:]
        self.ranks = {tuple(line.split(" ")): rank for rank, line in enumerate(lines)}
        self.letters = byte_letters()
        self.known = {}

    def __len__(self):
        return len(self.vocabulary)

    def word_ids(self, word):
        if word not in self.known:
            letters = [self.letters[byte] for byte in word.encode("utf-8")]
            parts = [*letters[:-1], letters[-1] + END_OF_WORD]
            while len(parts) > 1:
                best = min(zip(parts, parts[1:]), key=lambda pair: self.ranks.get(pair, len(self.ranks)))
                if best not in self.ranks:
                    break
                parts = merge_pair(parts, best)
            self.known[word] = [self.vocabulary[part] for part in parts]
        return self.known[word]

    def text_ids(self, text):
        return [i for word in self.pattern.findall(text.lower()) for i in self.word_ids(word)]

    def fits(self, text, length):
        """Whether ids() would cut nothing off."""
        return len(self.text_ids(text)) <= length - 2

    def ids(self, text, length):
        """`length` ids: start, the text, and end markers up to the length. A longer text is cut."""
        words = self.text_ids(text)[:length - 2]
        return [self.vocabulary[START], *words, *[self.vocabulary[END]] * (length - 1 - len(words))]
