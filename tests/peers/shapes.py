"""What single kernels reach: the networks of `shapes/`, compiled and measured by vsr-run, as shares of this machine's peak.

For each product: time, the operations that its equation says, those that its kernels do, and the equation's as a share of
the FMA peak of the same run. Where a filter saves products, that share may be above 100 %.
"""

import argparse
import json
import os
import subprocess
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")

# Shape, entry, and for each row the start of its launches' labels and what they must not start with.
CONV = {
    "forward": (("mid y",), ()),
    "input gradient": (("mid d",), ("mid d weight", "mid d shift")),
    "weight gradient": (("mid d weight",), ()),
}
SHAPES = [
    ("conv2d", "train", CONV),
    ("conv2d", "infer", {"forward, exact": (("mid y",), ())}),
    ("conv3d", "train", CONV),
    ("conv3d-strided", "train", CONV),
    ("deform", "infer", {"forward": (("",), ())}),
]


def measure(o, shape, entry, work):
    out = os.path.join(work, shape)
    source = os.path.join(HERE, "shapes", shape + ".vsr")
    subprocess.run([os.path.join(o.bin, "vsrc"), "compile", source, "-o", out, "-q"], check=True)
    call = [os.path.join(o.bin, "vsr-run"), "bench", out, "--entry", entry, "--repeats", str(o.repeats), "--json", "-q"]
    return json.loads(subprocess.run([*call, "--all"], check=True, capture_output=True, text=True).stdout)


def total(launches, starts, but):
    mine = [l for l in launches if l["label"].startswith(starts) and not (but and l["label"].startswith(but))]
    return [sum(l[k] for l in mine) for k in ("seconds", "equation_gflop", "gflop")]


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--bin", default=os.path.join(ROOT, "target", "release"), help="folder of vsrc and vsr-run")
    p.add_argument("--repeats", type=int, default=10)
    o = p.parse_args()
    print("| shape | product | ms | GFLOP said | GFLOP done | of peak |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        for shape, entry, rows in SHAPES:
            report = measure(o, shape, entry, work)
            for name, (starts, but) in rows.items():
                seconds, said, done = total(report["launches"], starts, but)
                share = said / seconds / report["peak_gflops"]
                print(f"| {shape} | {name} | {1e3 * seconds:.2f} | {said:.2f} | {done:.2f} | {100 * share:.0f} % |")


if __name__ == "__main__":
    main()
