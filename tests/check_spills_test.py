"""tools/check_spills.py on tiles written in assembly: good ones, and each way in which one can be bad."""

import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from typing import NamedTuple

TOOL = Path(__file__).resolve().parent.parent / "tools" / "check_spills.py"


class Machine(NamedTuple):
    assembler: str
    tile: str  # fusedffn::N_...::Tile<fusedffn::N_...::F32, 1, 1, 1, 2>()
    steps: list
    advance: list
    jump: str


X86 = Machine("x86_64-linux-gnu-as", "_ZN8fusedffn6N_AVX24TileINS0_3F32ELm1ELm1ELm1ELm2EEEvv",
              ["vmovaps (%rsi), %ymm1", "vbroadcastss (%rdi), %ymm2", "prefetcht1 (%rcx)",
               *4 * ["vfmadd231ps %ymm1, %ymm2, %ymm0"]],
              ["add $16, %rdi", "add $128, %rsi", "lea 64(%rcx), %rcx", "cmp %rax, %rsi"], "jne 1b")
AARCH64 = Machine("aarch64-linux-gnu-as", "_ZN8fusedffn6N_NEON4TileINS0_3F32ELm1ELm1ELm1ELm2EEEvv",
                  ["ldp q1, q3, [x1], #32", "ldr s2, [x0, #8]", "ld1r {v4.4s}, [x0]", "prfm pldl2keep, [x2]",
                   *4 * ["fmla v0.4s, v1.4s, v2.s[0]"]],
                  ["add x0, x0, #16", "add x2, x2, #64", "cmp x1, x3"], "b.ne 1b")


class CheckTile(unittest.TestCase):
    """What tests of every machine's tiles need."""
    machine = X86

    def function(self, body, name=None):
        name = name or self.machine.tile
        return [".globl " + name, f".type {name}, %function", name + ":", *body, "ret"]

    def loop(self, body):
        return ["1:", *body, self.machine.jump]

    def setUp(self):
        if shutil.which(self.machine.assembler) is None:
            self.skipTest(f"no {self.machine.assembler}")

    def check(self, assembly, *options):
        """Exit code and output of the tool for an object of these lines."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "tile.o"
            subprocess.run([self.machine.assembler, "-o", path, "-"], input="\n".join(assembly) + "\n",
                           text=True, check=True)
            process = subprocess.run([sys.executable, "-B", TOOL, *options, path], capture_output=True,
                                     text=True)
        return process.returncode, process.stdout + process.stderr

    def assert_fails(self, assembly, message):
        code, output = self.check(assembly)
        self.assertEqual(code, 1, output)
        self.assertIn(message, output)


class X86Tile(CheckTile):
    def test_registers_only(self):
        tail = self.loop([*X86.steps[:4], *X86.advance])
        for k_loop in (self.loop(X86.steps + X86.advance), self.loop([*X86.steps, *X86.advance[:2], "nopw (%rax,%rax)", *X86.advance[2:]])):
            code, output = self.check(self.function(["vmovaps 8(%rsp), %ymm0", *k_loop, *tail]))
            self.assertEqual(code, 0, output)
            self.assertIn("AVX2: 1 of 1 k loops stay in registers", output)

    def test_spills(self):
        for spill in ("vmovaps %ymm3, 64(%rsp)", "vmovaps 64(%rsp), %ymm3", "vaddps 64(%rbp), %ymm3, %ymm3",
                      "mov 64(%rsp), %r8", "vmovaps %ymm3, (%rdi)", "push %r8", "call other"):
            with self.subTest(spill):
                self.assert_fails(self.function(self.loop([spill, *X86.steps, *X86.advance])),
                                  "AVX2 F32 1x1x1, 2ul: 1 stack accesses and 0 copies")

    def test_copies(self):
        for copy in ("vmovaps %ymm3, %ymm4", "vmovdqa %ymm3, %ymm4", "vmovq %r8, %xmm4"):
            with self.subTest(copy):
                self.assert_fails(self.function(self.loop([copy, *X86.steps, *X86.advance])),
                                  "AVX2 F32 1x1x1, 2ul: 0 stack accesses and 1 copies")

    def test_accepted_copies(self):
        two_copies = self.function(self.loop(["vmovaps %ymm3, %ymm4", *X86.steps, "vmovaps %ymm4, %ymm3", *X86.advance]))
        self.assertEqual(self.check(two_copies, "--copies", "1")[0], 1)
        self.assertEqual(self.check(two_copies, "--copies", "2")[0], 0)

    def test_k_loop_cannot_be_told(self):
        unrolled_twice = self.loop(X86.steps + X86.steps + X86.advance)
        for body, found in ((X86.steps, "no loop"), (unrolled_twice, "8")):
            self.assert_fails(self.function(body), f"in its loops: {found}; accepted is one loop with 4")

    def test_no_tile(self):
        self.assert_fails(self.function(self.loop(X86.steps + X86.advance), name="tile"), "no tile function in ")


class AArch64Tile(CheckTile):
    machine = AARCH64

    def test_registers_only(self):
        tail = self.loop([*AARCH64.steps[:5], *AARCH64.advance])
        body = ["ldr q0, [sp, #16]", *self.loop(AARCH64.steps + AARCH64.advance), *tail]
        code, output = self.check(self.function(body), "--list")
        self.assertEqual(code, 0, output)
        self.assertIn("NEON: 1 of 1 k loops stay in registers", output)
        # Instructions, multiply-adds, loads, broadcasts, prefetches, stack, copies.
        self.assertRegex(output, r"NEON F32 1x1x1, 2ul +12 +4 +2 +2 +1 +0 +0\n")

    def test_spills(self):
        for spill in ("str q3, [sp, #64]", "ldr q3, [sp, #64]", "ldp q3, q4, [sp, #64]", "ldr x8, [sp, #64]",
                      "ldr q3, [x8, x9]", "str q3, [x1]", "stp d8, d9, [x29, #16]", "bl other"):
            with self.subTest(spill):
                self.assert_fails(self.function(self.loop([spill, *AARCH64.steps, *AARCH64.advance])),
                                  "NEON F32 1x1x1, 2ul: 1 stack accesses and 0 copies")

    def test_copies(self):
        for copy in ("mov v3.16b, v4.16b", "fmov s3, s4", "dup v3.4s, v4.s[0]", "fmov w8, s3"):
            with self.subTest(copy):
                self.assert_fails(self.function(self.loop([copy, *AARCH64.steps, *AARCH64.advance])),
                                  "NEON F32 1x1x1, 2ul: 0 stack accesses and 1 copies")

    def test_k_loop_cannot_be_told(self):
        self.assert_fails(self.function(AARCH64.steps), "in its loops: no loop; accepted is one loop with 4")


if __name__ == "__main__":
    unittest.main()
