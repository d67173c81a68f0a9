"""PyTorch's part of student_step.py: at each line of input it makes some updates and prints the milliseconds of one."""

from __future__ import annotations

import sys
import time

import torch
from torch import nn


class BiLSTM(nn.Module):
    def __init__(self, vocab: int, embedding_size: int, hidden_size: int, packed: bool):
        super().__init__()
        self.packed = packed
        self.embeddings = nn.Embedding(vocab, embedding_size, padding_idx=0)
        self.lstm = nn.LSTM(embedding_size, hidden_size, batch_first=True, bidirectional=True)
        self.dense = nn.Linear(2 * hidden_size, 200)
        self.logits = nn.Linear(200, 2)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        x = self.embeddings(ids)
        if self.packed:
            x = nn.utils.rnn.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        _, (states, _) = self.lstm(x)
        return self.logits(torch.relu(self.dense(torch.cat([states[0], states[1]], 1))))


def main() -> None:
    how = sys.argv[1]
    vocab, embedding_size, hidden_size, rows, shortest, longest, updates, threads, by_cpu = map(int, sys.argv[2:])
    clock = time.process_time if by_cpu else time.perf_counter
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    lengths = torch.linspace(shortest, longest, rows).long()
    ids = torch.randint(1, vocab, (rows, longest))
    ids[torch.arange(longest)[None] >= lengths[:, None]] = 0
    wanted = torch.randn(rows, 2)
    model = BiLSTM(vocab, embedding_size, hidden_size, how == "packed")
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, fused=True)
    for _ in sys.stdin:
        started = clock()
        for _ in range(updates):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(ids, lengths), wanted)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
        loss.item()
        print(1000 * (clock() - started) / updates, flush=True)


if __name__ == "__main__":
    main()
