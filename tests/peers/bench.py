"""The flagship in PyTorch, ONNX Runtime, OpenVINO and vsr-run, in one run on the same weights. See README.md.

Every measurement runs in a process of its own, so that cold start and memory are its own, too.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
START = time.perf_counter()
# Seconds that a peer may take.
LONGEST = 180


def best(run, seconds, least=3):
    """The median and the best time of one call, in ms, over about `seconds`."""
    run()
    times, end = [], time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        t = time.perf_counter()
        run()
        times.append(1e3 * (time.perf_counter() - t))
    times.sort()
    return {"median_ms": times[len(times) // 2], "best_ms": times[0], "runs": len(times)}


def peak_mb():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# One peer, in its own process


def torch_model(o, channels_last=False):
    import torch
    from safetensors.torch import load_file

    import vsr

    torch.set_num_threads(o.threads)
    model = vsr.Vsr(ch=o.ch, deform=not o.plain)
    model.load_state_dict(load_file(o.weights))
    if channels_last:
        for m in model.modules():
            if isinstance(m, torch.nn.Conv2d):
                m.to(memory_format=torch.channels_last)
            if isinstance(m, torch.nn.Conv3d):
                m.to(memory_format=torch.channels_last_3d)
    return model


def tile_input(o):
    import numpy as np

    return np.random.default_rng(0).random((1, 3, 5, o.tile, o.tile), dtype=np.float32)


def run_torch(o, channels_last=False, compiled=False):
    import torch

    model = torch_model(o, channels_last).eval()
    x = torch.from_numpy(tile_input(o))
    if channels_last:
        x = x.contiguous(memory_format=torch.channels_last_3d)
    extra = {}
    if compiled:
        t = time.perf_counter()
        model = torch.compile(model)
    with torch.inference_mode():
        y = model(x)
        cold = time.perf_counter() - START
        if compiled:
            extra["compile_s"] = time.perf_counter() - t
        first = peak_mb()
        times = best(lambda: model(x), o.seconds)
    return {"cold_s": cold, "memory_mb": first, **times, **extra, "check": float(y.double().mean())}


def run_torch_train(o, channels_last=False):
    import torch

    import vsr

    model = torch_model(o, channels_last)
    adam = torch.optim.Adam(model.parameters(), 2e-4)
    clip = torch.rand(o.batch, 3, 6, 4 * o.tile, 4 * o.tile)

    def step():
        adam.zero_grad()
        vsr.losses(model, clip)["loss"].backward()
        adam.step()

    return {**best(step, o.seconds), "memory_mb": peak_mb()}


def run_export(o):
    import torch

    model = torch_model(o).eval()
    x = torch.from_numpy(tile_input(o))
    torch.onnx.export(model, (x,), o.onnx, dynamo=True, opset_version=20)
    return {}


def run_convert(o):
    """OpenVINO reads PyTorch's own graph: it has no rule for ONNX's DeformConv."""
    import openvino as ov
    import torch

    model = torch_model(o).eval()
    x = torch.from_numpy(tile_input(o))
    with torch.no_grad():
        model(x)  # makes the resize matrices, which are constants from now on
        traced = torch.jit.trace(model, x, check_trace=False)
    ov.save_model(ov.convert_model(traced, example_input=x, input=list(x.shape)), o.onnx + ".xml", compress_to_fp16=False)
    return {}


def run_ort(o):
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = o.threads
    session = ort.InferenceSession(o.onnx, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    x = tile_input(o)
    y = session.run(None, {name: x})[0]
    cold, first = time.perf_counter() - START, peak_mb()
    times = best(lambda: session.run(None, {name: x}), o.seconds)
    return {"cold_s": cold, "memory_mb": first, **times, "check": float(y.astype("float64").mean())}


def run_openvino(o):
    import openvino as ov

    core = ov.Core()
    how = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": o.threads, "INFERENCE_PRECISION_HINT": "f32"}
    model = core.compile_model(o.onnx + ".xml", "CPU", how)
    request = model.create_infer_request()
    x = tile_input(o)
    y = request.infer([x])[model.output(0)].copy()
    cold, first = time.perf_counter() - START, peak_mb()
    times = best(lambda: request.infer([x]), o.seconds)
    return {"cold_s": cold, "memory_mb": first, **times, "check": float(y.astype("float64").mean())}


PEERS = {
    "PyTorch": run_torch,
    "PyTorch, channels last": lambda o: run_torch(o, True),
    "PyTorch, torch.compile": lambda o: run_torch(o, False, True),
    "PyTorch step": run_torch_train,
    "PyTorch step, channels last": lambda o: run_torch_train(o, True),
    "export": run_export,
    "convert": run_convert,
    "ONNX Runtime": run_ort,
    "OpenVINO": run_openvino,
}


# All of them


def child(name, args):
    """What a peer measured, or why it could not."""
    call = [sys.executable, os.path.abspath(__file__), "--peer", name, *args]
    try:
        done = subprocess.run(call, capture_output=True, text=True, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return {"failed": f"no result after {LONGEST} s"}
    lines = done.stdout.strip().splitlines()
    if done.returncode or not lines:
        reason = (done.stderr.strip().splitlines() or ["no output"])[-1]
        return {"failed": reason[:160]}
    return json.loads(lines[-1])


def make_weights(o):
    """The twin's own start, disturbed so that offsets and masks are not all zero."""
    code = (
        "import torch, vsr; from safetensors.torch import save_file; torch.manual_seed(0)\n"
        f"m = vsr.Vsr(ch={o.ch}, deform={not o.plain})\n"
        "for p in m.parameters(): p.data += 0.01*torch.randn_like(p)\n"
        f"save_file(m.state_dict(), {o.weights!r})\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=HERE)


def timed(call):
    """Wall time and peak memory of a program."""
    t = time.perf_counter()
    p = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    text = p.stdout.read()
    _, status, usage = os.wait4(p.pid, 0)
    p.returncode = os.waitstatus_to_exitcode(status)
    if p.returncode:
        raise RuntimeError(f"{' '.join(call)}\n{text}")
    return time.perf_counter() - t, usage.ru_maxrss / 1024, text


def ours(o, work):
    """vsr-run on what vsrc makes now: cold start and memory of `exec`, times of `bench`."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    def binary(name):
        return os.path.join(o.bin, name)

    def compile_for(profile, batch):
        out = os.path.join(work, profile)
        sets = [f"ch={o.ch}", "strength=0", f"B={batch}", f"H={o.tile}", f"W={o.tile}"] + ["deform=false"] * o.plain
        words = [word for s in sets for word in ("--set", s)]
        source = os.path.join(ROOT, "models", "vsr.vsr")
        return out, timed([binary("vsrc"), "compile", source, "-o", out, "--profile", profile, *words])[0]

    def bench(folder, entry):
        call = [binary("vsr-run"), "bench", folder, "--entry", entry, "--threads", str(o.threads), "--json", "-q"]
        text = timed(call)[2]
        return json.loads(text[text.index("{") :])

    tile, compile_s = compile_for("tile", 1)
    train, _ = compile_for("train", o.batch)
    x, y = os.path.join(work, "in.safetensors"), os.path.join(work, "out.safetensors")
    save_file({"x": tile_input(o)}, x)
    run = [binary("vsr-run"), "exec", tile, "--inputs", x, "--weights", o.weights, "-o", y, "--threads", str(o.threads)]
    runs = [timed([*run, "-q"]) for _ in range(3)]
    check = float(next(iter(load_file(y).values())).astype(np.float64).mean())
    result = {"cold_s": min(r[0] for r in runs), "memory_mb": runs[0][1], "check": check, "compile_s": compile_s}
    return result, {"infer": bench(tile, "infer"), "train": bench(train, "train")}


def row(name, r, base):
    if "failed" in r:
        return f"| {name} | failed: {r['failed']} | | | |"
    ms = r.get("median_ms")
    ratio = f"{base / ms:.2f}" if base and ms else ""
    cells = [f"{ms:.1f}" if ms else "", ratio]
    cells += [f"{r[k]:.2f}" if k in r else "" for k in ("cold_s",)]
    cells += [f"{r['memory_mb']:.0f}" if "memory_mb" in r else ""]
    return f"| {name} | " + " | ".join(cells) + " |"


def table(title, rows):
    print(f"\n{title}\n\n| | ms | faster than PyTorch | cold start, s | memory, MB |\n|---|---|---|---|---|")
    base = next((r.get("median_ms") for n, r in rows if n.startswith("PyTorch")), None)
    for name, r in rows:
        print(row(name, r, base))


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument("--bin", default=os.path.join(ROOT, "target", "release"), help="folder of vsrc and vsr-run")
    p.add_argument("--weights", help="a weights file for both; made if there is none")
    p.add_argument("--ch", type=int, default=64)
    p.add_argument("--tile", type=int, default=64)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--plain", action="store_true", help="plain instead of deformable alignment")
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--seconds", type=float, default=5, help="how long to repeat each measurement")
    p.add_argument("--compile", action="store_true", help="torch.compile, too")
    p.add_argument("--skip", action="append", default=[], help="leave out the peers whose names hold this word")
    p.add_argument("--json", help="also write the numbers here")
    p.add_argument("--onnx", help=argparse.SUPPRESS)
    p.add_argument("--peer", help=argparse.SUPPRESS)
    o = p.parse_args()
    if o.peer:
        sys.path.insert(0, HERE)
        print(json.dumps(PEERS[o.peer](o)))
        return
    with tempfile.TemporaryDirectory() as work:
        measure(o, work)


def measure(o, work):
    if not o.weights:
        o.weights = os.path.join(work, "weights.safetensors")
        make_weights(o)
    o.onnx = os.path.join(work, "vsr.onnx")
    shared = ["--weights", os.path.abspath(o.weights), "--ch", str(o.ch), "--tile", str(o.tile), "--batch", str(o.batch),
              "--threads", str(o.threads), "--seconds", str(o.seconds), "--onnx", o.onnx] + ["--plain"] * o.plain
    wanted = [n for n in PEERS if n not in ("export", "convert") and (o.compile or "compile" not in n)]
    wanted = [n for n in wanted if not any(s.lower() in n.lower() for s in o.skip)]
    made = {n: child(how, shared) for n, how in (("ONNX Runtime", "export"), ("OpenVINO", "convert")) if n in wanted}
    found = {n: made[n] if "failed" in made.get(n, {}) else child(n, shared) for n in wanted}
    infer = [(n, r) for n, r in found.items() if "step" not in n]
    steps = [(n, r) for n, r in found.items() if "step" in n]
    if "vsr" not in o.skip:
        try:
            mine, report = ours(o, work)
            found["vsr"] = {**mine, "report": report}
            infer.append(("vsr", {**mine, "median_ms": 1e3 * report["infer"]["seconds"]}))
            steps.append(("vsr", {"median_ms": 1e3 * report["train"]["seconds"]}))
        except (OSError, RuntimeError) as e:
            infer.append(("vsr", {"failed": str(e).strip().splitlines()[-1][:160]}))
    print(f"ch={o.ch}, T=5, {o.tile}x{o.tile}, x4, {o.threads} threads, f32" + (", plain alignment" if o.plain else ""))
    table("Inference, one tile", infer)
    table(f"Training step, batch {o.batch}", steps)
    checks = {n: r["check"] for n, r in infer if "check" in r}
    print("\nmean of the output:", ", ".join(f"{n} {v:.6f}" for n, v in checks.items()))
    if o.json:
        with open(o.json, "w") as f:
            json.dump(found, f, indent=1)


if __name__ == "__main__":
    main()
