"""tools/check_spills.py on tiles written in assembly: good ones, and each way in which one can be bad."""

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

TOOL = Path(__file__).resolve().parent.parent / "tools" / "check_spills.py"
TILE_1X1 = "_ZN8fusedffn6N_AVX24TileINS0_3F32ELm1ELm1ELm2EEEvv"  # fusedffn::N_AVX2::Tile<F32, 1, 1, 2>()
STEPS = ["vmovaps (%rsi), %ymm1", "vbroadcastss (%rdi), %ymm2", "prefetcht1 (%rcx)",
         *4 * ["vfmadd231ps %ymm1, %ymm2, %ymm0"]]
ADVANCE = ["add $16, %rdi", "add $128, %rsi", "lea 64(%rcx), %rcx", "cmp %rax, %rsi"]


def function(body, name=TILE_1X1):
    return [".globl " + name, f".type {name}, @function", name + ":", *body, "ret"]


def loop(body):
    return ["1:", *body, "jne 1b"]


class CheckSpills(unittest.TestCase):
    def check(self, assembly, *options):
        """Exit code and output of the tool for an object of these lines."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tile.o"
            subprocess.run(["as", "-o", path, "-"], input="\n".join(assembly) + "\n", text=True, check=True)
            process = subprocess.run([sys.executable, TOOL, *options, path], capture_output=True, text=True)
        return process.returncode, process.stdout + process.stderr

    def assert_fails(self, assembly, message):
        code, output = self.check(assembly)
        self.assertEqual(code, 1, output)
        self.assertIn(message, output)

    def test_registers_only(self):
        tail = loop([*STEPS[:4], *ADVANCE])
        for k_loop in (loop(STEPS + ADVANCE), loop([*STEPS, *ADVANCE[:2], "nopw (%rax,%rax)", *ADVANCE[2:]])):
            code, output = self.check(function(["vmovaps 8(%rsp), %ymm0", *k_loop, *tail]))
            self.assertEqual(code, 0, output)
            self.assertIn("AVX2: 1 of 1 k loops stay in registers", output)

    def test_spills(self):
        for spill in ("vmovaps %ymm3, 64(%rsp)", "vmovaps 64(%rsp), %ymm3", "vaddps 64(%rbp), %ymm3, %ymm3",
                      "mov 64(%rsp), %r8", "vmovaps %ymm3, (%rdi)", "push %r8", "call other"):
            with self.subTest(spill):
                self.assert_fails(function(loop([spill, *STEPS, *ADVANCE])),
                                  "AVX2 F32 1x1, 2ul: 1 stack accesses and 0 copies")

    def test_copies(self):
        for copy in ("vmovaps %ymm3, %ymm4", "vmovdqa %ymm3, %ymm4", "vmovq %r8, %xmm4"):
            with self.subTest(copy):
                self.assert_fails(function(loop([copy, *STEPS, *ADVANCE])),
                                  "AVX2 F32 1x1, 2ul: 0 stack accesses and 1 copies")

    def test_accepted_copies(self):
        two_copies = function(loop(["vmovaps %ymm3, %ymm4", *STEPS, "vmovaps %ymm4, %ymm3", *ADVANCE]))
        self.assertEqual(self.check(two_copies, "--copies", "1")[0], 1)
        self.assertEqual(self.check(two_copies, "--copies", "2")[0], 0)

    def test_k_loop_cannot_be_told(self):
        unrolled_twice = loop(STEPS + STEPS + ADVANCE)
        two_loops = 2 * loop(STEPS + ADVANCE)
        for body, found in ((STEPS, "no loop"), (unrolled_twice, "8"), (two_loops, "4, 4")):
            self.assert_fails(function(body), f"in its loops: {found}; accepted is one loop with 4")

    def test_no_tile(self):
        self.assert_fails(function(loop(STEPS + ADVANCE), name="tile"), "no tile function in ")


if __name__ == "__main__":
    unittest.main()
