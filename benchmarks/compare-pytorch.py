"""The same operations composed from PyTorch's, on the same GPU: what the kernels are compared with.

Prints a Markdown table. Each case is timed as it is written and through torch.compile, and the better one counts; a
compiled case must agree with the plain one.
"""
import statistics
import torch

device = torch.device("cuda")


def milliseconds(run):
    for _ in range(5):
        run()
    times = []
    for _ in range(20):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return statistics.median(times)


def row(name, function, *arguments, tolerance=2e-2):
    plain = milliseconds(lambda: function(*arguments))
    compiled = float("nan")
    try:
        faster = torch.compile(function)
        expected, found = function(*arguments), faster(*arguments)
        error = ((found.float() - expected.float()).norm() / expected.float().norm()).item()
        assert error < tolerance, error
        compiled = milliseconds(lambda: faster(*arguments))
    except Exception as failure:  # a case that does not compile is still timed as it is
        print("torch.compile:", name, str(failure).splitlines()[0][:120])
    best = min(value for value in (plain, compiled) if value == value)
    print(f"| {name} | {plain * 1e3:.0f} us | {compiled * 1e3:.0f} us | {best * 1e3:.0f} us |", flush=True)


def sparse_mla(q, pool, slots):
    rows = pool[slots]  # [rows, k, 576]
    scores = torch.matmul(q, rows.transpose(1, 2)) * 0.04
    return torch.matmul(torch.softmax(scores.float(), -1).to(q.dtype), rows[..., :512])


def index_scores(q, keys, scales, w):
    dots = torch.matmul(q, keys.to(q.dtype).transpose(1, 2))  # [rows, heads, tokens]
    return (torch.relu(dots) * w[..., None]).sum(1) * scales


def main():
    torch.manual_seed(1)
    print(torch.cuda.get_device_name(), "PyTorch", torch.__version__)
    a = torch.randn(8192, 8192, device=device, dtype=torch.float16)
    b = torch.randn(8192, 8192, device=device, dtype=torch.float16)
    print(f"f16 matrix product: {2 * 8192**3 / milliseconds(lambda: a @ b) / 1e9:.0f} TFLOP/s")
    big = torch.empty(1 << 32, device=device, dtype=torch.uint8)
    other = torch.empty_like(big)
    print(f"copy: {2 * big.numel() / milliseconds(lambda: other.copy_(big)) / 1e6:.0f} GB/s")
    del big, other, a, b
    print("| case | eager | compiled | best |\n|---|---|---|---|")

    for rows, length in ((1, 32768), (128, 4096), (128, 32768), (1, 131072), (128, 131072), (4096, 32768)):
        scores = torch.relu(torch.randn(rows, length, device=device))
        row(f"top-k 2048, {rows} x {length}", lambda s: torch.topk(s, 2048).values, scores)
    del scores

    for rows, length in ((1, 32768), (128, 4096), (128, 32768)):
        keys = torch.randn(rows, length, 128, device=device, dtype=torch.bfloat16).to(torch.float8_e4m3fn)
        scales = torch.rand(rows, length, device=device)
        q = torch.randn(rows, 64, 128, device=device, dtype=torch.bfloat16)
        w = torch.randn(rows, 64, device=device, dtype=torch.bfloat16)
        row(f"index scores, FP8, {rows} x {length}", index_scores, q, keys, scales, w)
        del keys, scales, q, w
    # a prompt's rows share the keys; 256 rows at a time, as all products at once would take 550 GB
    keys = torch.randn(1, 32768, 128, device=device, dtype=torch.bfloat16).to(torch.float8_e4m3fn)
    scales = torch.rand(1, 32768, device=device)
    q = torch.randn(256, 64, 128, device=device, dtype=torch.bfloat16)
    w = torch.randn(256, 64, device=device, dtype=torch.bfloat16)
    row("index scores, FP8, 256 of a prompt's 4096 x 32768", index_scores, q, keys, scales, w)
    del keys, scales, q, w

    pool = torch.randn(1 << 20, 576, device=device, dtype=torch.bfloat16)
    for name, rows, slots in (("", 1, 1 << 20), ("", 16, 1 << 20), ("", 64, 1 << 20), ("", 128, 1 << 20),
                              ("512 of a prompt's ", 512, 1 << 15)):
        q = torch.randn(rows, 128, 576, device=device, dtype=torch.bfloat16)
        chosen = torch.randint(0, slots, (rows, 2048), device=device)
        row(f"sparse MLA, {name}{rows} rows, top 2048", sparse_mla, q, pool, chosen)


main()
