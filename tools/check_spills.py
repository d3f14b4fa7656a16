#!/usr/bin/env python3
"""Checks the compiled tiles: in the k loop nothing may leave the registers, or move from one to another.

  tools/check_spills.py build/release/libfusedffn.a     one line for each instruction set with FMA (x86-64)
  tools/check_spills.py --list FILE...                  also one for each tile; libraries or objects

The k loop of a tile of rows x vecs is the innermost loop with the multiply-adds of kUnroll steps. Counted in
it are `stack`, accesses to memory whose address is the same in every pass (A, B and what is prefetched move
on; a spilled register, or a constant, does not), stores of vectors, pushes, pops and calls; and `copies`,
moves of vectors from register to register. SSE is left out: its instructions overwrite an operand, and its
tiles cannot do without either.

Exit code 1 if a tile has more than is accepted, if its k loop cannot be told, or if there is no tile at all.
"""

import argparse
import re
import shutil
import subprocess
import sys
from typing import NamedTuple

UNROLL = 4  # kUnroll of kernels/microkernel-inl.h

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
TILE = re.compile(r"\bN_(AVX\w+)::Tile<[\w:]*::(\w+), (\d+)\w*, (\d+)\w*(.*)>\(.*\)$")
INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(?:(?:cs|data16) )*(\S+) *([^#<]*)")
MEMORY = re.compile(r"\((%\w+)?(?:,(%\w+))?(?:,\d)?\)")
VECTOR = re.compile(r"%[xyz]mm\d+")
WRITES_NO_REGISTER = re.compile(r"cmp|test|j|prefetch|v|nop")  # what such names begin with


class Instruction(NamedTuple):
    address: int
    name: str
    operands: str

    def is_multiply_add(self):
        return self.name.startswith(("vfmadd", "vdpbf16ps", "vpdpbusd"))

    def is_broadcast(self):
        return "broadcast" in self.name or "{1to" in self.operands

    def is_copy(self):
        moves = self.name.startswith(("mov", "vmov")) and "(" not in self.operands
        return moves and VECTOR.search(self.operands) is not None

    def is_load(self):
        reads = MEMORY.search(self.operands) and not MEMORY.search(self.last_operand())
        return bool(reads and VECTOR.search(self.operands)) and not self.is_broadcast()

    def last_operand(self):
        return re.split(r",(?![^(]*\))", self.operands)[-1].strip()

    def uses_stack(self, moving):
        """Or memory that is as good as one; `moving`: the registers that change in the loop."""
        if self.name.startswith(("call", "push", "pop")):
            return True
        memory = MEMORY.search(self.operands)
        if memory is None or self.name.startswith(("lea", "nop")):
            return False
        stores = VECTOR.search(self.operands) and MEMORY.search(self.last_operand())
        return bool(stores) or not moving & set(memory.groups())


class Tile(NamedTuple):
    target: str
    arithmetic: str  # of kernels/arithmetic-inl.h
    rows: int
    vecs: int
    rest: str  # of the template's arguments, which change nothing in what is accepted

    def __str__(self):
        return f"{self.target} {self.arithmetic} {self.rows}x{self.vecs}{self.rest}"


class Counts(NamedTuple):
    instructions: int
    fma: int
    loads: int
    broadcasts: int
    stack: int
    copies: int


def parse(listing):
    """{Tile: its instructions}, from objdump's lines."""
    tiles, current = {}, None
    for line in listing.splitlines():
        if header := FUNCTION.match(line):
            match = TILE.search(header[1])
            tile = match and Tile(match[1], match[2], int(match[3]), int(match[4]), match[5])
            current = tiles.setdefault(tile, []) if tile else None
        elif current is not None and (match := INSTRUCTION.match(line)):
            current.append(Instruction(int(match[1], 16), match[2], match[3].strip()))
    return tiles


def innermost_loops(instructions):
    """From the target of a jump backwards to the jump, without those that hold another one."""
    index = {instruction.address: i for i, instruction in enumerate(instructions)}
    spans = set()
    for end, instruction in enumerate(instructions):
        if instruction.name.startswith("j") and re.fullmatch("[0-9a-f]+", instruction.operands):
            begin = index.get(int(instruction.operands, 16), end + 1)
            if begin <= end:
                spans.add((begin, end))
    holds = lambda outer, inner: outer != inner and outer[0] <= inner[0] and inner[1] <= outer[1]
    return [instructions[begin:end + 1] for begin, end in sorted(spans)
            if not any(holds((begin, end), other) for other in spans)]


def count(loop):
    moving = {i.last_operand() for i in loop if not WRITES_NO_REGISTER.match(i.name)}
    return Counts(len(loop), sum(i.is_multiply_add() for i in loop), sum(i.is_load() for i in loop),
                  sum(i.is_broadcast() for i in loop), sum(i.uses_stack(moving) for i in loop),
                  sum(i.is_copy() for i in loop))


def examine(tile, instructions, most_copies):
    """The counts of its k loop, None if that cannot be told; and what is wrong, or nothing."""
    wanted = tile.rows * tile.vecs * UNROLL
    loops = [count(loop) for loop in innermost_loops(instructions)]
    found = [counts for counts in loops if counts.fma == wanted]
    if len(found) != 1:
        all_found = ", ".join(str(counts.fma) for counts in loops) or "no loop"
        return None, f"multiply-adds in its loops: {all_found}; accepted is one loop with {wanted}"
    counts = found[0]
    if counts.stack == 0 and counts.copies <= most_copies:
        return counts, ""
    return counts, (f"{counts.stack} stack accesses and {counts.copies} copies; "
                    f"accepted are 0 and up to {most_copies}")


def check(tiles, most_copies, show_all):
    """Prints what was found; returns what is wrong."""
    problems, are_good = [], {}
    row = "{:<36}" + "{:>14}" * len(Counts._fields)
    if show_all:
        print(row.format("tile", *Counts._fields))
    for tile, instructions in sorted(tiles.items()):
        counts, problem = examine(tile, instructions, most_copies)
        if show_all and counts:
            print(row.format(str(tile), *counts))
        if problem:
            problems.append(f"{tile}: {problem}")
        are_good.setdefault(tile.target, []).append(not problem)
    for target, results in are_good.items():
        print(f"check_spills: {target}: {sum(results)} of {len(results)} k loops stay in registers")
    return problems


def disassemble(files):
    if shutil.which("objdump") is None:
        sys.exit("check_spills: objdump not found: apt-get install binutils")
    process = subprocess.run(["objdump", "--disassemble", "--no-show-raw-insn", "--demangle", *files],
                             stdout=subprocess.PIPE, text=True)
    if process.returncode != 0:
        sys.exit(1)  # objdump has said why
    return process.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="object file or library")
    parser.add_argument("--copies", type=int, default=0, metavar="N",
                        help="accept up to N copies in a tile; default: 0")
    parser.add_argument("--list", action="store_true", help="a table of every tile's k loop")
    arguments = parser.parse_args()
    tiles = parse(disassemble(arguments.files))
    if not tiles:
        sys.exit(f"check_spills: no tile function in {' '.join(arguments.files)}: accepted are objects and "
                 "libraries with kernels/kernels.cc for x86-64, not stripped")
    if problems := check(tiles, arguments.copies, arguments.list):
        sys.exit("\n".join(f"check_spills: {problem}" for problem in problems))


if __name__ == "__main__":
    main()
