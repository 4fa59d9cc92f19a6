"""The longest common subsequence by bit operations, for scoring very many candidates as rouge-score does."""

from collections.abc import Sequence
from functools import lru_cache

from chidu.tasks.metrics.libraries import load
from chidu.tasks.metrics.rouge import Characters

Words = Sequence[str]


def longest_common(left: Words, right: Words) -> int:
    """Length of the longest common subsequence (Hyyrö 2004, "Bit-parallel LCS-length computation revisited")."""
    places: dict[str, int] = {}
    for i, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << i
    whole = (1 << len(left)) - 1
    open_places = whole
    for word in right:
        met = open_places & places.get(word, 0)
        open_places = (open_places + met | open_places - met) & whole
    return len(left) - open_places.bit_count()


def rouge_l(answer: Words, references: Sequence[Words]) -> float:
    """The best F1 of the longest common subsequence with one of the references, 0 to 1."""
    return max(_f1(answer, reference) for reference in references)


def rouge_words(text: str, by_character: bool) -> list[str]:
    """Words as rouge-score takes them: stemmed, or each character."""
    if by_character:
        return Characters().tokenize(text)
    plain = load("rouge_score.tokenizers").DefaultTokenizer(use_stemmer=False).tokenize(text)
    return [_stem(word) for word in plain]


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    """One word's stem; the same words come again and again, and stemming is most of the time."""
    return " ".join(load("rouge_score.tokenizers").DefaultTokenizer(use_stemmer=True).tokenize(word))


def _f1(answer: Words, reference: Words) -> float:
    same = longest_common(reference, answer)
    return 2 * same / (len(answer) + len(reference)) if same else 0.0
