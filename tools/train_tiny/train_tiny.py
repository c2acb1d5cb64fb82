#!/usr/bin/env python3
"""Train the tiny model: a Llama-style transformer on the text of tiny_text.py, on a CPU.

    pip install jax optax numpy            (jax 0.10, numpy 2.4 were used); apt install bible-kjv-text
    train_tiny.py --dir DIR train --steps N         constant learning rate; a checkpoint every few hundred steps
    train_tiny.py --dir DIR cool  --steps N         from the last checkpoint: the rate falls to 0, quantisation simulated
    train_tiny.py --dir DIR export --out FILE       write the weights as int8, as src/engine/tiny_model.h describes
    train_tiny.py --dir DIR held-out --out FILE     write the text that was held out

The hidden matrices learn by Muon (momentum, made orthogonal by Newton and Schulz's iteration), the rest by Adam.
During cooling every matrix and every activation that meets one is rounded to int8 as the C code does, with the
gradient passed straight through, so that what is shipped is what was trained.
"""
import argparse
import os
import pickle
import struct
import time
import zlib

import jax
import jax.numpy as jnp
import numpy as np

import tiny_text

DIM, LAYERS, HEADS, KV_HEADS, HEAD_DIM, FFN, VOCAB = 128, 6, 4, 2, 32, 320, 1536
WINDOW = 128  # a token sees itself and the 127 before it
THETA = 1000.0
EPS = 1e-5
SEQ, BATCH = 256, 8
LR_MUON, LR_ADAM, DECAY = 0.02, 0.003, 0.05
MATRICES = ("wq", "wk", "wv", "wo", "gate", "up", "down")


def init(key):
    keys = iter(jax.random.split(key, 16))

    def normal(*shape):
        return jax.random.normal(next(keys), shape) / np.sqrt(shape[-1])

    L, D, KD = LAYERS, DIM, KV_HEADS * HEAD_DIM
    return {
        "embed": jax.random.normal(next(keys), (VOCAB, D)) * 0.05,
        "wq": normal(L, D, D), "wk": normal(L, KD, D), "wv": normal(L, KD, D), "wo": jnp.zeros((L, D, D)),
        "gate": normal(L, FFN, D), "up": normal(L, FFN, D), "down": jnp.zeros((L, D, FFN)),
        "attn_norm": jnp.ones((L, D)), "ffn_norm": jnp.ones((L, D)), "final_norm": jnp.ones(D),
        "q_norm": jnp.ones((L, HEAD_DIM)), "k_norm": jnp.ones((L, HEAD_DIM)),
    }


def rounded(x):
    """x as int8 with one scale a row (last axis), gradient straight through."""
    scale = jnp.maximum(jnp.max(jnp.abs(x), axis=-1, keepdims=True), 1e-20) / 127
    return x + jax.lax.stop_gradient(jnp.round(x / scale) * scale - x)


def norm(x):
    return x * jax.lax.rsqrt(jnp.mean(x * x, axis=-1, keepdims=True) + EPS)


def rope(x):
    half = HEAD_DIM // 2
    angle = jnp.arange(x.shape[1])[:, None] * THETA ** (-jnp.arange(half) / half)
    cos, sin = jnp.cos(angle)[None, :, None], jnp.sin(angle)[None, :, None]
    a, b = x[..., :half], x[..., half:]
    return jnp.concatenate([a * cos - b * sin, b * cos + a * sin], axis=-1)


def forward(p, ids, quantised):
    def linear(x, w):
        if quantised:
            x, w = rounded(x), rounded(w)
        return x @ w.T

    B, T = ids.shape
    group = HEADS // KV_HEADS
    where = jnp.arange(T)
    near = (where[:, None] >= where) & (where[:, None] - where < WINDOW)
    embed = rounded(p["embed"]) if quantised else p["embed"]
    x = norm(embed[ids])
    for l in range(LAYERS):
        h = norm(x) * p["attn_norm"][l]
        q = linear(h, p["wq"][l]).reshape(B, T, HEADS, HEAD_DIM)
        k = linear(h, p["wk"][l]).reshape(B, T, KV_HEADS, HEAD_DIM)
        v = linear(h, p["wv"][l]).reshape(B, T, KV_HEADS, HEAD_DIM)
        q = rope(norm(q) * p["q_norm"][l])
        k = rope(norm(k) * p["k_norm"][l])
        # Heads that share a key head stand one after another: plain batched products, which XLA does fastest.
        q = q.transpose(0, 2, 1, 3).reshape(B * KV_HEADS, group * T, HEAD_DIM)
        k = k.transpose(0, 2, 1, 3).reshape(B * KV_HEADS, T, HEAD_DIM)
        v = v.transpose(0, 2, 1, 3).reshape(B * KV_HEADS, T, HEAD_DIM)
        score = q @ k.swapaxes(1, 2) / np.sqrt(HEAD_DIM)
        weight = jax.nn.softmax(jnp.where(jnp.tile(near, (group, 1)), score, -1e30), axis=-1)
        mixed = (weight @ v).reshape(B, HEADS, T, HEAD_DIM).transpose(0, 2, 1, 3).reshape(B, T, DIM)
        x = x + linear(mixed, p["wo"][l])
        h = norm(x) * p["ffn_norm"][l]
        x = x + linear(jax.nn.silu(linear(h, p["gate"][l])) * linear(h, p["up"][l]), p["down"][l])
    return linear(norm(x) * p["final_norm"], p["embed"])


def loss_of(p, ids, quantised):
    """Mean bits a token."""
    logits = forward(p, ids[:, :-1], quantised)
    picked = jnp.take_along_axis(logits, ids[:, 1:, None], axis=-1)[..., 0]
    return jnp.mean(jax.nn.logsumexp(logits, axis=-1) - picked) / np.log(2)


def orthogonal(g):
    """Newton-Schulz: pushes all singular values of g [L, m, n] towards 1 (coefficients of Jordan's Muon)."""
    tall = g.shape[1] > g.shape[2]
    x = jnp.swapaxes(g, 1, 2) if tall else g
    x = x / (jnp.linalg.norm(x, axis=(1, 2), keepdims=True) + 1e-7)
    for _ in range(5):
        s = x @ jnp.swapaxes(x, 1, 2)
        x = 3.4445 * x + (-4.7750 * s + 2.0315 * s @ s) @ x
    return jnp.swapaxes(x, 1, 2) if tall else x


def make_step(quantised):
    def step(state, ids, rate):
        p, m, v, n = state["p"], state["m"], state["v"], state["n"] + 1
        loss, grad = jax.value_and_grad(loss_of)(p, ids, quantised)
        new_p, new_m, new_v = {}, {}, {}
        for name, g in grad.items():
            w = p[name]
            if name in MATRICES:
                new_m[name] = 0.95 * m[name] + g
                update = orthogonal(0.95 * new_m[name] + g) * max(1.0, w.shape[1] / w.shape[2]) ** 0.5
                new_v[name] = v[name]
                new_p[name] = w - rate * LR_MUON * (update + DECAY * w)
            else:
                new_m[name] = 0.9 * m[name] + 0.1 * g
                new_v[name] = 0.98 * v[name] + 0.02 * g * g
                update = new_m[name] / (1 - 0.9**n) / (jnp.sqrt(new_v[name] / (1 - 0.98**n)) + 1e-10)
                new_p[name] = w - rate * LR_ADAM * update
        ema = jax.tree.map(lambda a, b: 0.998 * a + 0.002 * b, state["ema"], new_p)
        return {"p": new_p, "m": new_m, "v": new_v, "n": n, "ema": ema}, loss

    return jax.jit(step, donate_argnums=0)


def load_data(directory):
    train, held = tiny_text.split(tiny_text.chapters())
    path = os.path.join(directory, "merges.pickle")
    if not os.path.exists(path):
        with open(path, "wb") as f:
            pickle.dump(tiny_text.learn_merges(train, VOCAB), f)
    with open(path, "rb") as f:
        merges = pickle.load(f)
    tokenizer = tiny_text.Tokenizer(merges)

    def encoded(found):
        return np.array([i for chapter in found for i in tokenizer.encode(chapter) + [tiny_text.END]], np.int32)

    return merges, encoded(train), encoded(held), sum(map(len, held))


def held_out_bits(p, ids, characters, quantised):
    """Bits a character: every token predicted from at least SEQ-1-WINDOW tokens before it, where there are as many."""
    logits_of = jax.jit(forward, static_argnums=2)
    stride, bits, at = SEQ - WINDOW, 0.0, 0
    padded = np.concatenate([ids, np.zeros(SEQ, np.int32)])
    while at + 1 < len(ids):
        rows = []
        for k in range(16):
            rows.append((at + k * stride, padded[at + k * stride:at + k * stride + SEQ + 1]))
        rows = [r for r in rows if len(r[1]) == SEQ + 1 and r[0] + 1 < len(ids)]
        batch = np.stack([r[1] for r in rows] + [rows[0][1]] * (16 - len(rows)))
        logp = np.array(jax.nn.log_softmax(logits_of(p, batch[:, :-1], quantised)))
        for k, (start, row) in enumerate(rows):
            for t in range(0 if start == 0 else SEQ - stride, SEQ):
                if start + t + 1 < len(ids):
                    bits -= logp[k, t, row[t + 1]] / np.log(2)
        at += len(rows) * stride
    return bits / characters


def save(state, directory, cooling):
    out = os.path.join(directory, "cool.pickle" if cooling else "state.pickle")
    with open(out + ".new", "wb") as f:
        pickle.dump(jax.tree.map(np.asarray, state), f)
    os.rename(out + ".new", out)


def run(args):
    merges, train, held, characters = load_data(args.dir)
    cooling = args.verb == "cool"
    path = os.path.join(args.dir, "state.pickle")
    if cooling or os.path.exists(path):
        with open(path, "rb") as f:
            state = jax.tree.map(jnp.asarray, pickle.load(f))
    else:
        p = init(jax.random.PRNGKey(args.seed))
        zeros = jax.tree.map(jnp.zeros_like, p)
        state = {"p": p, "m": zeros, "v": jax.tree.map(jnp.zeros_like, p), "n": jnp.zeros((), jnp.int32),
                 "ema": jax.tree.map(jnp.copy, p)}
    step = make_step(cooling)
    first = int(state["n"])
    rng = np.random.default_rng([args.seed, first])
    begun, losses = time.time(), []
    done = 0.0  # share of the run that is over, by steps or by time, whichever is further
    for k in range(args.steps):
        n = first + k
        done = max(done, k / args.steps, (time.time() - begun) / (60 * args.minutes))
        if done >= 1:
            break
        rate = 1 - done if cooling else min(1.0, (n + 1) / 100)
        at = rng.integers(0, len(train) - SEQ - 1, BATCH)
        ids = np.stack([train[a:a + SEQ + 1] for a in at])
        state, loss = step(state, ids, rate)
        losses.append(float(loss))
        if (k + 1) % 50 == 0:
            print(f"step {n + 1} bits/token {np.mean(losses[-50:]):.4f} seconds {time.time() - begun:.0f}", flush=True)
        if (k + 1) % 300 == 0:
            save(state, args.dir, cooling)
    save(state, args.dir, cooling)
    bits = [held_out_bits(state[w], held, characters, cooling) for w in ("p", "ema")]
    print(f"step {int(state['n'])} held-out bits/character {bits[0]:.4f}, averaged weights {bits[1]:.4f}", flush=True)


def int8_matrix(w):
    """As rounded() has it: one scale a row."""
    w = np.asarray(w, np.float32)
    scale = np.maximum(np.abs(w).max(axis=1), 1e-20).astype(np.float32) / np.float32(127)
    return scale.astype("<f4").tobytes() + np.round(w / scale[:, None]).astype(np.int8).tobytes()


def export(args):
    """The file that src/engine/tiny_model.h describes."""
    merges = load_data(args.dir)[0]
    with open(os.path.join(args.dir, args.state), "rb") as f:
        p = pickle.load(f)[args.weights]

    def floats(x):
        return np.asarray(x, "<f4").tobytes()

    half = HEAD_DIM // 2
    body = [floats(EPS), floats(THETA ** (-np.arange(half) / half)), np.array(merges, "<u2").tobytes(),
            int8_matrix(p["embed"]), floats(p["final_norm"])]
    for l in range(LAYERS):
        body += [floats(p[name][l]) for name in ("attn_norm", "ffn_norm", "q_norm", "k_norm")]
        body += [int8_matrix(p[name][l]) for name in MATRICES]
    body = b"".join(body)
    begin = 1 + ord("\n")  # a prompt is the beginning of a verse
    head = b"TSPTINY1" + struct.pack("<8I", DIM, LAYERS, HEADS, KV_HEADS, FFN, VOCAB, WINDOW, begin)
    with open(args.out, "wb") as f:
        f.write(head + struct.pack("<I", zlib.crc32(head + body)) + body)


def write_held_out(args):
    """The held-out text, a NUL byte where the model is told that a chapter ends."""
    with open(args.out, "wb") as f:
        f.write(b"".join(chapter + b"\0" for chapter in tiny_text.split(tiny_text.chapters())[1]))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dir", required=True)
    parser.add_argument("--seed", type=int, default=1)
    sub = parser.add_subparsers(dest="verb", required=True)
    for verb in ("train", "cool"):
        learning = sub.add_parser(verb)
        learning.add_argument("--steps", type=int, required=True)
        learning.add_argument("--minutes", type=float, default=1e9, help="end before the steps are done")
    exporting = sub.add_parser("export")
    exporting.add_argument("--out", required=True)
    exporting.add_argument("--state", default="cool.pickle")
    exporting.add_argument("--weights", choices=("p", "ema"), default="p", help="the last ones, or their average")
    sub.add_parser("held-out").add_argument("--out", required=True)
    args = parser.parse_args()
    os.makedirs(args.dir, exist_ok=True)
    {"train": run, "cool": run, "export": export, "held-out": write_held_out}[args.verb](args)


if __name__ == "__main__":
    main()
