"""A document in a packed batch is trained on as if it were alone: logits, gradients' loss, and no leak at all.

A tiny model with a softmax layer and a lightning (linear, decaying) attention layer reads boundaries only from the
batch: the oracle runs it on each document by itself.  float32 on the CPU.
"""

import pytest

torch = pytest.importorskip("torch")

from packing.loader import TensorLoader  # noqa: E402
from tests.packing.directories import EOS, VOCAB_ROWS, plan_rows, write_directory  # noqa: E402

WIDTH, HEADS, LENGTH = 16, 2, 64
DOCUMENTS = {
    "web": [[3 + (n * 7 + k * k) % 250 for k in range(size)] for n, size in enumerate((9, 20, 31, 4, 0, 70, 12, 150))],
    "code": [[3 + (n * 11 + 3 * k) % 250 for k in range(size)] for n, size in enumerate((5, 40, 17, 1))],
}


class Model(torch.nn.Module):
    """Embedding with positions, softmax attention within segments, lightning attention with state resets, head."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embed = torch.nn.Embedding(VOCAB_ROWS, WIDTH)
        self.softmax_qkv = torch.nn.Linear(WIDTH, 3 * WIDTH)
        self.lightning_qkv = torch.nn.Linear(WIDTH, 3 * WIDTH)
        self.head = torch.nn.Linear(WIDTH, VOCAB_ROWS)

    def forward(self, tokens, position_ids, segment_ids, cu_seqlens):
        frequencies = 10_000.0 ** (-torch.arange(0, WIDTH, 2) / WIDTH)
        angles = position_ids[:, None] * frequencies
        x = self.embed(tokens) + torch.cat([angles.sin(), angles.cos()], 1)
        x = x + self.softmax(self.softmax_qkv(x), segment_ids)
        x = x + self.lightning(self.lightning_qkv(x), cu_seqlens)
        return self.head(x)

    def softmax(self, qkv, segment_ids):
        """Causal attention with a block-diagonal mask."""
        q, k, v = (part.view(-1, HEADS, WIDTH // HEADS).transpose(0, 1) for part in qkv.chunk(3, 1))
        place = torch.arange(len(segment_ids))
        allowed = (segment_ids[:, None] == segment_ids) & (place[:, None] >= place)
        scores = (q @ k.transpose(1, 2)).masked_fill(~allowed, float("-inf"))
        return (scores.softmax(2) @ v).transpose(0, 1).reshape(-1, WIDTH)

    def lightning(self, qkv, cu_seqlens):
        """o_t = q_t S_t, S_t = λ S_{t-1} + k_t vᵀ_t, S = 0 at every boundary."""
        q, k, v = (part.view(-1, HEADS, WIDTH // HEADS) for part in qkv.chunk(3, 1))
        decay = torch.tensor([0.9, 0.99]).view(HEADS, 1, 1)
        starts, out = set(cu_seqlens.tolist()), []
        state = torch.zeros(HEADS, WIDTH // HEADS, WIDTH // HEADS)
        for t in range(len(q)):
            if t in starts:
                state = torch.zeros_like(state)
            state = decay * state + k[t][:, :, None] * v[t][:, None, :]
            out.append((q[t][:, None, :] @ state).view(WIDTH))
        return torch.stack(out) / 8


def run(model, batch):
    return model(batch["tokens"], batch["position_ids"], batch["segment_ids"], batch["cu_seqlens"])


def alone(model, tokens, first=0):
    """Logits of one document (or piece of one, from position `first`)."""
    tokens = torch.tensor(tokens)
    return model(tokens, torch.arange(first, first + len(tokens)), torch.zeros(len(tokens)), torch.tensor([0]))


@pytest.mark.parametrize("positions", ["fragment", "document"])
def test_packed_logits_are_those_of_the_document_alone(tmp_path, positions):
    write_directory(tmp_path, DOCUMENTS, sequence_length=LENGTH)
    model, offsets = Model(), {}
    for rows in plan_rows(DOCUMENTS, LENGTH).values():
        for row in rows:
            for one in row.fragments:
                offsets[one.tokens] = one.offset
    compared = 0
    with torch.no_grad():
        for batch in TensorLoader(tmp_path, global_batch=2, positions=positions):
            logits = run(model, batch)
            for segment in range(batch["segments"]):
                if batch["source"][segment] < 0:
                    continue
                a, b = batch["cu_seqlens"][segment : segment + 2].tolist()
                tokens = batch["tokens"][a:b].tolist()
                expected = alone(model, tokens, offsets[tuple(tokens)] if positions == "document" else 0)
                assert (logits[a:b] - expected).abs().max() <= 1e-5 * expected.abs().max()
                compared += b - a
    planned = sum(
        len(one.tokens) for rows in plan_rows(DOCUMENTS, LENGTH).values() for r in rows for one in r.fragments
    )
    assert compared >= planned - 2 * LENGTH  # the last row may fill no batch


def test_changing_one_document_leaves_all_others_bit_equal(tmp_path):
    write_directory(tmp_path, DOCUMENTS, sequence_length=LENGTH)
    model, changed_segments = Model(), 0
    with torch.no_grad():
        for batch in TensorLoader(tmp_path, global_batch=2):
            logits = run(model, batch)
            for segment in range(batch["segments"]):
                here = batch["segment_ids"] == segment
                other = {**batch, "tokens": torch.where(here, (batch["tokens"] + 17) % VOCAB_ROWS, batch["tokens"])}
                changed = run(model, other)
                assert torch.equal(changed[~here], logits[~here])
                assert not torch.equal(changed[here], logits[here])
                changed_segments += 1
    assert changed_segments > 15


def test_the_oracle_notices_a_missing_boundary(tmp_path):
    """Without boundaries the same comparison fails: what is tested above can fail."""
    write_directory(tmp_path, DOCUMENTS, sequence_length=LENGTH)
    model = Model()
    with torch.no_grad():
        batch = next(iter(TensorLoader(tmp_path, global_batch=2)))
        logits = run(model, batch)
        for fault in ({"cu_seqlens": torch.tensor([0])}, {"segment_ids": torch.zeros_like(batch["segment_ids"])}):
            assert (run(model, {**batch, **fault}) - logits).abs().max() > 1e-3


def test_loss_over_the_packed_set_is_the_loss_document_by_document(tmp_path):
    """Mean over trained tokens; a split document's pieces have no label across the cut, EOS is predicted."""
    write_directory(tmp_path, DOCUMENTS, sequence_length=LENGTH)
    model = Model()
    total, trained, expected, count = 0.0, 0, 0.0, 0
    with torch.no_grad():
        for batch in TensorLoader(tmp_path, global_batch=1):
            loss = torch.nn.functional.cross_entropy(run(model, batch), batch["labels"], reduction="sum")
            masked = torch.nn.functional.cross_entropy(
                run(model, batch)[batch["loss_mask"]], batch["labels"][batch["loss_mask"]], reduction="sum"
            )
            assert torch.allclose(loss, masked)
            total, trained = total + float(loss), trained + int(batch["loss_mask"].sum())
        for documents in DOCUMENTS.values():
            for document in documents:
                whole = [*document, EOS]
                for start in range(0, len(whole), LENGTH):
                    piece = whole[start : start + LENGTH]
                    if len(piece) > 1:
                        logits = alone(model, piece)[:-1]
                        target = torch.tensor(piece[1:])
                        expected += float(torch.nn.functional.cross_entropy(logits, target, reduction="sum"))
                        count += len(piece) - 1
    assert trained == count > 300
    assert total / trained == pytest.approx(expected / count, rel=1e-6)
