#!/usr/bin/env python3
"""Compares two .npy files: relative L2 error, cosine and largest absolute error of A against B, the
reference.

Exit code 0 if they agree, 1 if they do not (error above the limit, other shapes, NaN or infinities in other
places), 2 for wrong usage or a file that cannot be read.
"""

import argparse
import sys

try:
    import numpy as np
except ImportError as error:
    sys.exit(f"compare_npy.py: {error}; in a virtual environment: pip install numpy")


def load(path):
    try:
        return np.load(path, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError) as error:
        print(f"compare_npy.py: {path}: {error}", file=sys.stderr)
        sys.exit(2)


def main():
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("a", metavar="A.npy")
    parser.add_argument("b", metavar="B.npy")
    parser.add_argument("--max-rel-l2", type=float, default=2e-6, help="the limit; default 2e-6")
    args = parser.parse_args()
    a, b = load(args.a), load(args.b)

    if a.shape != b.shape:
        sys.exit(f"compare_npy.py: shapes differ: {list(a.shape)} and {list(b.shape)}")
    finite = np.isfinite(b)
    if not np.array_equal(np.where(finite, 0, b), np.where(np.isfinite(a), 0, a), equal_nan=True):
        sys.exit("compare_npy.py: NaN or infinities are not in the same places")

    difference = np.where(finite, a, 0) - np.where(finite, b, 0)
    error, norm = np.linalg.norm(difference), np.linalg.norm(b[finite])
    relative = error / norm if norm > 0 else (0.0 if error == 0 else np.inf)
    norms = norm * np.linalg.norm(a[finite])
    cosine = np.vdot(a[finite], b[finite]) / norms if norms > 0 else 1.0
    passed = relative <= args.max_rel_l2
    verdict = "ok" if passed else "FAILED"
    print(f"relative L2 error {relative:.3g} ({verdict}: at most {args.max_rel_l2:.3g} is accepted), "
          f"1 - cosine {max(0.0, 1 - cosine):.2g}, largest absolute error {np.abs(difference).max(initial=0.0):.3g}, {a.size} values")
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
