#!/usr/bin/env python3
"""What PyTorch takes for the phases that `llava-mole bench --shape 7b` measures, on the same card: transformers' Llama and
CLIP with random weights in half precision, and PEFT's LoRA on every projection.

    python3 tests/pytorch_bench.py [--tokens 512] [--rounds 7] [--only clip,prefill,decode,train_lora]

Needs torch with CUDA, transformers and peft. Prints a line a phase: name, median milliseconds, fastest, slowest, peak memory.
Replies are timed as `generate` runs them (a cache that grows, eager kernels), and again from a captured CUDA graph over a
static cache; a training step with and without recomputed activations.
"""
import argparse
import statistics
import time

import torch

D_MODEL, FFN, LAYERS, HEADS, VOCAB, RANK = 4096, 11008, 32, 32, 32064, 32


def timed(name, rounds, work):
    """The median of `rounds`, after two that warm up."""
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for index in range(rounds + 2):
        torch.cuda.synchronize()
        start = time.perf_counter()
        work()
        torch.cuda.synchronize()
        if index >= 2:
            seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 1e9
    low, middle, high = (1e3 * value for value in (min(seconds), statistics.median(seconds), max(seconds)))
    print(f"{name:<28} {middle:9.3f} ms ({low:.3f} to {high:.3f}), {peak:.1f} GB", flush=True)


def llama():
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=VOCAB, hidden_size=D_MODEL, intermediate_size=FFN, num_hidden_layers=LAYERS,
        num_attention_heads=HEADS, num_key_value_heads=HEADS, max_position_embeddings=4096,
    )
    torch.set_default_dtype(torch.float16)
    with torch.device("cuda"):
        model = LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    return model.eval()


def clip(rounds):
    from transformers import CLIPVisionConfig, CLIPVisionModel

    config = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, image_size=336, patch_size=14
    )
    torch.set_default_dtype(torch.float16)
    with torch.device("cuda"):
        model = CLIPVisionModel(config).eval()
        pixels = torch.randn(1, 3, 336, 336)
    torch.set_default_dtype(torch.float32)
    with torch.no_grad():
        timed("clip", rounds, lambda: model(pixel_values=pixels))


def replies(model, tokens, rounds, phases):
    from transformers import StaticCache

    ids = torch.randint(0, VOCAB, (1, tokens), device="cuda")
    steps = 32
    with torch.no_grad():
        if "prefill" in phases:
            timed("prefill", rounds, lambda: model(input_ids=ids, use_cache=True, logits_to_keep=1))
        if "decode" not in phases:
            return

        def decode(cache, token):
            for _ in range(steps):
                out = model(input_ids=token, past_key_values=cache, use_cache=True)
                token = out.logits[:, -1].argmax(-1, keepdim=True)
            return token

        start = time.perf_counter()
        out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
        first = out.logits[:, -1].argmax(-1, keepdim=True)
        decode(out.past_key_values, first)
        torch.cuda.synchronize()
        seconds = []
        for _ in range(3):
            out = model(input_ids=ids, use_cache=True, logits_to_keep=1)
            torch.cuda.synchronize()
            start = time.perf_counter()
            decode(out.past_key_values, first)
            torch.cuda.synchronize()
            seconds.append((time.perf_counter() - start) / steps)
        print(f"{'decode, eager':<28} {1e3 * statistics.median(seconds):9.3f} ms a token", flush=True)

        cache = StaticCache(config=model.config, max_cache_len=tokens + steps)
        positions = torch.arange(tokens, device="cuda")
        model(input_ids=ids, past_key_values=cache, cache_position=positions, use_cache=True, logits_to_keep=1)
        token, position = first.clone(), torch.tensor([tokens], device="cuda")

        def step():
            out = model(input_ids=token, past_key_values=cache, cache_position=position, position_ids=position[None], use_cache=True)
            token.copy_(out.logits[:, -1].argmax(-1, keepdim=True))

        side = torch.cuda.Stream()
        with torch.cuda.stream(side):
            step()
            step()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        timed("decode, a graph", rounds, graph.replay)


def training(model, tokens, rounds):
    from peft import LoraConfig, get_peft_model

    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=targets)).train()
    model.config.use_cache = False
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.data = parameter.data.float()
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    ids = torch.randint(0, VOCAB, (1, tokens), device="cuda")
    labels = ids.clone()
    labels[:, : tokens - tokens // 8] = -100

    def step():
        with torch.autocast("cuda", dtype=torch.float16):
            loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    timed("train_lora", rounds, step)
    model.enable_input_require_grads()
    model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    timed("train_lora, recomputed", rounds, step)


def attempt(work, *arguments):
    try:
        work(*arguments)
    except Exception as error:  # a phase that fails leaves the others to be measured
        print(f"{work.__name__}: {type(error).__name__}: {error}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="clip,prefill,decode,train_lora")
    arguments = parser.parse_args()
    phases = arguments.only.split(",")
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}", flush=True)
    side = torch.randn(8192, 8192, device="cuda", dtype=torch.float16)
    timed("product of 8192, f16", arguments.rounds, lambda: side @ side)
    del side
    if "clip" in phases:
        attempt(clip, arguments.rounds)
    model = llama()
    attempt(replies, model, arguments.tokens, arguments.rounds, phases)
    if "train_lora" in phases:
        attempt(training, model, arguments.tokens, arguments.rounds)


main()
