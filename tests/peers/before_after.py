"""Two builds of vsrc and vsr-run against each other, by turns: is anything slower than before?

    cargo build --release --target-dir target/before     # at the older commit
    cargo build --release                                # at the newer one
    python tests/peers/before_after.py target/before/release target/release

Each workload is compiled by both and run by both, one after the other, so that a machine whose speed drifts drifts for both. A line has
the median of each, their ratio (above 1: the newer is faster) and how far the middle half of the ratios spreads. Needs nothing but Python.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
SHAPES = "tests/peers/shapes"

ROWS = ["silu", "softmax", "layer_norm", "group_norm_silu", "pixel_shuffle", "turned"]

# Name, text, options of vsrc, entry.
RUNS = [
    ("flagship, one tile of 64x64", "models/vsr.vsr", ["--profile", "tile"], "infer"),
    ("flagship, training step", "models/vsr.vsr", ["--profile", "train"], "train"),
    ("VDSR, a frame of 256x256", "models/vdsr.vsr", ["--profile", "picture"], "infer"),
    ("SPyNet, frames of 192x320", "models/spynet.vsr", [], "infer"),
    ("VSRnet, five frames of 480x640", "models/vsrnet.vsr", [], "infer"),
    ("3x3 convolution, its gradients", f"{SHAPES}/conv2d.vsr", [], "train"),
    ("3x3x3 convolution, its gradients", f"{SHAPES}/conv3d.vsr", [], "train"),
    ("deformable convolution", f"{SHAPES}/deform.vsr", [], "infer"),
    *((f"rows: {op}", f"{SHAPES}/rows.vsr", ["--set", f"op={op}"], "infer") for op in ROWS),
]


def compile_all(folder, out):
    for n, (_, text, options, _) in enumerate(RUNS):
        command = [folder / "vsrc", "compile", text, "-q", "-o", out / str(n), *options]
        subprocess.run(command, cwd=ROOT, check=True)


def run(folder, out, n, threads):
    """Best time of a few runs of one workload, in seconds."""
    command = [folder / "vsr-run", "bench", out / str(n), "--entry", RUNS[n][3], "--repeats", "3", "--json"]
    command += ["--threads", str(threads)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["seconds"]


def compile_flagship(folder, out):
    start = time.perf_counter()
    command = [folder / "vsrc", "compile", "models/vsr.vsr", "-q", "-o", out / "whole"]
    subprocess.run(command, cwd=ROOT, check=True)
    return time.perf_counter() - start


def line(name, before, after):
    ratios = sorted(b / a for b, a in zip(before, after))
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    old, new = statistics.median(before), statistics.median(after)
    print(f"{name:32} {1e3 * old:9.2f} {1e3 * new:9.2f} {old / new:7.3f}   {low:.3f} to {high:.3f}", flush=True)
    return old / new


def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("before", type=pathlib.Path, help="folder with the older vsrc and vsr-run")
    arguments.add_argument("after", type=pathlib.Path, help="folder with the newer ones")
    arguments.add_argument("--turns", type=int, default=9, help="how often both are run [9]")
    arguments.add_argument("--threads", type=int, default=0, help="as of vsr-run [0: one for each core]")
    arguments.add_argument("--least", type=float, default=0.98, help="ratio below which the exit code is 1 [0.98]")
    given = arguments.parse_args()
    builds = [given.before.resolve(), given.after.resolve()]
    print(f"{'':32} {'before':>9} {'after':>9}   ratio   middle half (ms; best of 3, median of {given.turns})")
    with tempfile.TemporaryDirectory() as folder:
        outs = [pathlib.Path(folder) / name for name in ("before", "after")]
        for build, out in zip(builds, outs):
            out.mkdir()
            compile_all(build, out)
        ratios = []
        for n, (name, *_) in enumerate(RUNS):
            times = [[], []]
            for _ in range(given.turns):
                for i in (0, 1):
                    times[i].append(run(builds[i], outs[i], n, given.threads))
            ratios.append(line(name, *times))
        times = [[], []]
        for _ in range(given.turns):
            for i in (0, 1):
                times[i].append(compile_flagship(builds[i], outs[i]))
        ratios.append(line("vsrc compile models/vsr.vsr", *times))
    sys.exit(min(ratios) < given.least)


if __name__ == "__main__":
    main()
