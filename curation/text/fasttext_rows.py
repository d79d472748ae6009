"""The rows that a text adds up in a fastText model: words, character n-grams, word n-grams, in fastText's order.

A cache remembers the row numbers of a batch's words, not their sums: the additions stay the same ones in
the same order, so a result cannot depend on what was remembered.  `tables`, `work` and `cache` are the
named tuples of fasttext_kernel.py.
Source: facebookresearch/fastText, src/dictionary.cc (readWord, getLine, addSubwords, computeSubwords,
addWordNgrams, pushHash), src/matrix.h (addRowToVector).
"""

from __future__ import annotations

import numpy as np

from curation.text.fasttext_lookup import FNV_BASIS, find_word, fnv_hash, fnv_step, is_kept, rank, same_bytes
from curation.text.hashing import STEP, hash_bytes
from curation.text.kernel import kernel_function

EOS = np.frombuffer(b"</s>", np.uint8)
LABEL_PREFIX = np.frombuffer(b"__label__", np.uint8)
WORD_NGRAM_STEP = np.uint64(116049371)  # src/dictionary.cc, addWordNgrams
IS_SPACE = np.isin(np.arange(256), np.frombuffer(b" \n\r\t\v\f\0", np.uint8))

PENDING_ROWS = 2048  # row numbers collected before they are added up
CACHED_ROWS = 8  # row numbers remembered of a word; a word with more is computed each time
IS_LABEL = -1  # row count of a token that is a label: it adds nothing, not even to word n-grams


@kernel_function
def add_pending(rows, hidden, pending, n, added):  # type: ignore[no-untyped-def]
    """hidden += rows[pending[:n]], one after the other; sixteen columns stay in registers.  Returns 0, what is left."""
    dim = hidden.shape[0]
    for c in range(0, dim - 15, 16):
        s0, s1, s2, s3 = hidden[c], hidden[c + 1], hidden[c + 2], hidden[c + 3]
        s4, s5, s6, s7 = hidden[c + 4], hidden[c + 5], hidden[c + 6], hidden[c + 7]
        s8, s9, s10, s11 = hidden[c + 8], hidden[c + 9], hidden[c + 10], hidden[c + 11]
        s12, s13, s14, s15 = hidden[c + 12], hidden[c + 13], hidden[c + 14], hidden[c + 15]
        for k in range(n):
            r = pending[k]
            s0, s1, s2, s3 = s0 + rows[r, c], s1 + rows[r, c + 1], s2 + rows[r, c + 2], s3 + rows[r, c + 3]
            s4, s5, s6, s7 = s4 + rows[r, c + 4], s5 + rows[r, c + 5], s6 + rows[r, c + 6], s7 + rows[r, c + 7]
            s8, s9 = s8 + rows[r, c + 8], s9 + rows[r, c + 9]
            s10, s11 = s10 + rows[r, c + 10], s11 + rows[r, c + 11]
            s12, s13 = s12 + rows[r, c + 12], s13 + rows[r, c + 13]
            s14, s15 = s14 + rows[r, c + 14], s15 + rows[r, c + 15]
        hidden[c], hidden[c + 1], hidden[c + 2], hidden[c + 3] = s0, s1, s2, s3
        hidden[c + 4], hidden[c + 5], hidden[c + 6], hidden[c + 7] = s4, s5, s6, s7
        hidden[c + 8], hidden[c + 9], hidden[c + 10], hidden[c + 11] = s8, s9, s10, s11
        hidden[c + 12], hidden[c + 13], hidden[c + 14], hidden[c + 15] = s12, s13, s14, s15
    for c in range(dim // 16 * 16, dim):
        total = hidden[c]
        for k in range(n):
            total += rows[pending[k], c]
        hidden[c] = total
    added[0] += n
    return 0


@kernel_function
def settle(pending, first, n, buckets):  # type: ignore[no-untyped-def]
    """The bucket numbers in pending[first:n] become row numbers."""
    if buckets.pruned:
        for k in range(first, n):
            pending[k] = buckets.rows[rank(pending[k], buckets.bits, buckets.before)]
    else:
        for k in range(first, n):
            pending[k] += buckets.first_row


@kernel_function
def push_subwords(  # type: ignore[no-untyped-def]
    padded, length, n, min_n, max_n, buckets, rows, hidden, pending, added
):
    """Rows of the character n-grams of `<word>`, by first character, then by length.

    Without a branch on whether a bucket is kept: it cannot be predicted, and that took half of the time.
    """
    first = n
    count = np.uint32(buckets.total)
    for i in range(length):
        if padded[i] & 0xC0 == 0x80:  # inside a character
            continue
        state = FNV_BASIS
        j = i
        size = 1
        while j < length and size <= max_n:
            state = fnv_step(state, padded[j])
            j += 1
            while j < length and padded[j] & 0xC0 == 0x80:
                state = fnv_step(state, padded[j])
                j += 1
            if size >= min_n and not (size == 1 and (i == 0 or j == length)):
                if n == pending.shape[0]:
                    settle(pending, first, n, buckets)
                    first = n = add_pending(rows, hidden, pending, n, added)
                number = np.int64(state % count)
                pending[n] = number
                n += is_kept(number, buckets.bits) if buckets.pruned else 1
            size += 1
    settle(pending, first, n, buckets)
    return n


@kernel_function
def is_eos(buffer, start, end):  # type: ignore[no-untyped-def]
    return end - start == EOS.shape[0] and same_bytes(buffer, start, EOS, 0, EOS.shape[0])


@kernel_function
def push_word(buffer, start, end, n, tables, work):  # type: ignore[no-untyped-def]
    """All rows of a token: (rows now pending, whether it is a word and no label)."""
    hashed = hash_bytes(buffer, start, end)
    entry = find_word(buffer, start, end, hashed, tables.word_slots, tables.entry_bytes, tables.entry_starts)
    if entry >= tables.words:
        return n, False
    if entry >= 0:
        if n == work.pending.shape[0]:
            n = add_pending(tables.rows, work.hidden, work.pending, n, work.added)
        work.pending[n] = entry
        n += 1
    elif end - start >= LABEL_PREFIX.shape[0] and same_bytes(buffer, start, LABEL_PREFIX, 0, LABEL_PREFIX.shape[0]):
        return n, False
    if tables.max_n > 0 and not is_eos(buffer, start, end):
        work.padded[0] = 60  # <
        for k in range(end - start):
            work.padded[k + 1] = buffer[start + k]
        work.padded[end - start + 1] = 62  # >
        n = push_subwords(
            work.padded, end - start + 2, n, tables.min_n, tables.max_n, tables.buckets,
            tables.rows, work.hidden, work.pending, work.added,
        )  # fmt: skip
    return n, True


@kernel_function
def push_word_ngrams(words, n, tables, work):  # type: ignore[no-untyped-def]
    """Rows of the n-grams of the text's words; hashes are sign-extended, as fastText stores them as int32."""
    first = n
    for i in range(words):
        state = np.uint64(np.int64(np.int32(work.fnv[i])))
        for j in range(i + 1, min(words, i + tables.word_ngrams)):
            state = state * WORD_NGRAM_STEP + np.uint64(np.int64(np.int32(work.fnv[j])))
            if n == work.pending.shape[0]:
                settle(work.pending, first, n, tables.buckets)
                first = n = add_pending(tables.rows, work.hidden, work.pending, n, work.added)
            number = np.int64(state % np.uint64(tables.buckets.total))
            work.pending[n] = number
            n += is_kept(number, tables.buckets.bits) if tables.buckets.pruned else 1
    settle(work.pending, first, n, tables.buckets)
    return n


@kernel_function
def push_text(buffer, start, end, tables, work, cache):  # type: ignore[no-untyped-def]
    """Every row of a text, as fastText's getLine finds them; a token `</s>` ends the line."""
    pending, remembered, known = work.pending, cache.rows, cache.words
    mask = np.uint64(remembered.shape[0] - 1)
    with_ngrams = tables.word_ngrams > 1
    n = words = 0
    ended = False
    i = start
    while not ended:
        while i < end and IS_SPACE[buffer[i]]:
            i += 1
        if i == end:
            break
        word = i
        key = np.uint64(0)
        while i < end and i < word + 8 and not IS_SPACE[buffer[i]]:
            key |= np.uint64(buffer[i]) << np.uint64(8 * (i - word))
            i += 1
        if i == word + 8:
            while i < end and not IS_SPACE[buffer[i]]:
                i += 1
            if i > word + 8:
                key = hash_bytes(buffer, word, i)
        length = i - word
        slot = ((key ^ (key >> np.uint64(29))) * STEP >> np.uint64(32)) & mask
        if n + CACHED_ROWS > pending.shape[0]:  # so that the rows of a word to remember are not split
            n = add_pending(tables.rows, work.hidden, pending, n, work.added)
        if (
            known[slot, 0] == np.int64(key)
            and known[slot, 1] == length
            and (length <= 8 or same_bytes(buffer, known[slot, 2], buffer, word, length))
        ):
            count = known[slot, 3]
            for k in range(CACHED_ROWS):  # all of them: a fixed number is copied faster
                pending[n + k] = remembered[slot, k]
            n += max(count, 0)
        else:
            first, before = n, work.added[0]
            n, is_word = push_word(buffer, word, i, n, tables, work)
            count = n + work.added[0] - before - first if is_word else np.int64(IS_LABEL)
            if count <= CACHED_ROWS and work.added[0] == before:
                known[slot, 0], known[slot, 1], known[slot, 2], known[slot, 3] = np.int64(key), length, word, count
                for k in range(count):
                    remembered[slot, k] = pending[first + k]
        if with_ngrams and count != IS_LABEL:
            work.fnv[words] = fnv_hash(buffer, word, i)
            words += 1
        ended = length == EOS.shape[0] and is_eos(buffer, word, i)
    if not ended:
        n, is_word = push_word(EOS, 0, EOS.shape[0], n, tables, work)
        if with_ngrams and is_word:
            work.fnv[words] = fnv_hash(EOS, 0, EOS.shape[0])
            words += 1
    if with_ngrams:
        n = push_word_ngrams(words, n, tables, work)
    add_pending(tables.rows, work.hidden, pending, n, work.added)
