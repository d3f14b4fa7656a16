#!/usr/bin/env python3
"""Checks the compiled tiles: in the k loop nothing may leave the registers, or move from one to another.

  tools/check_spills.py build/release/libfusedffn.a     one line for each instruction set with FMA
  tools/check_spills.py --list FILE...                  also one for each tile; libraries or objects

The k loop of a tile of rows x vecs, in one panel or in two, is the innermost loop with the multiply-adds of
kUnroll steps. Counted in it are `stack`, accesses to memory whose address is the same in every pass (A, B and
what is prefetched move on; a spilled register, or a constant, does not), stores of vectors, pushes, pops and
calls; and `copies`, moves of vectors from register to register. SSE is left out: its instructions overwrite an
operand, and its tiles cannot do without either. So is int8 on AArch64 without sdot, where a product is several
instructions.

`broadcasts` are loads of one float of A for a whole vector, into all of its lanes or into the one that AArch64's
fmla takes for all; `loads` are of whole vectors, of which AArch64's ldp has two.

Exit code 1 if a tile has more than is accepted, if its k loop cannot be told, or if there is no tile at all.
"""

import argparse
import sys
from typing import NamedTuple

from tile_listing import tiles_of

UNROLL = 4  # kUnroll of kernels/microkernel-inl.h


class Counts(NamedTuple):
    instructions: int
    fma: int
    loads: int
    broadcasts: int
    prefetches: int
    stack: int
    copies: int


def innermost_loops(instructions):
    """From the target of a jump backwards to the jump, without those that hold another one."""
    index = {instruction.address: i for i, instruction in enumerate(instructions)}
    spans = set()
    for end, instruction in enumerate(instructions):
        begin = index.get(instruction.jump_target(), end + 1)
        if begin <= end:
            spans.add((begin, end))
    holds = lambda outer, inner: outer != inner and outer[0] <= inner[0] and inner[1] <= outer[1]
    return [instructions[begin:end + 1] for begin, end in sorted(spans)
            if not any(holds((begin, end), other) for other in spans)]


def count(loop):
    moving = set().union(*(i.changed_registers() for i in loop))
    return Counts(len(loop), sum(i.is_multiply_add() for i in loop), sum(i.loads() for i in loop),
                  sum(i.broadcasts() for i in loop), sum(i.is_prefetch() for i in loop),
                  sum(i.uses_stack(moving) for i in loop), sum(i.is_copy() for i in loop))


def examine(tile, instructions, most_stack, most_copies):
    """The counts of its k loop, None if that cannot be told; and what is wrong, or nothing."""
    wanted = tile.rows * tile.vecs * tile.panels * UNROLL
    loops = [count(loop) for loop in innermost_loops(instructions)]
    found = [counts for counts in loops if counts.fma == wanted]
    if not found:
        all_found = ", ".join(str(counts.fma) for counts in loops) or "no loop"
        return None, f"multiply-adds in its loops: {all_found}; accepted is one loop with {wanted}"
    # A jump back from behind the function's end (clang has some) makes a longer one of what follows the k loop,
    # which asks for nothing ahead.
    counts = min(found, key=lambda counts: counts.instructions - counts.prefetches)
    if counts.stack <= most_stack and counts.copies <= most_copies:
        return counts, ""
    return counts, (f"{counts.stack} stack accesses and {counts.copies} copies; "
                    f"accepted are up to {most_stack} and {most_copies}")


def check(tiles, most_stack, most_copies, show_all):
    """Prints what was found; returns what is wrong."""
    problems, are_good = [], {}
    row = "{:<40}" + "{:>14}" * len(Counts._fields)
    if show_all:
        print(row.format("tile", *Counts._fields))
    for tile, instructions in sorted(tiles.items()):
        counts, problem = examine(tile, instructions, most_stack, most_copies)
        if show_all and counts:
            print(row.format(str(tile), *counts))
        if problem:
            problems.append(f"{tile}: {problem}")
        are_good.setdefault(tile.target, []).append(not problem)
    for target, results in are_good.items():
        print(f"check_spills: {target}: {sum(results)} of {len(results)} k loops stay in registers")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="+", metavar="FILE", help="object file or library")
    parser.add_argument("--stack", type=int, default=0, metavar="N",
                        help="accept up to N stack accesses in a tile; default: 0")
    parser.add_argument("--copies", type=int, default=0, metavar="N",
                        help="accept up to N copies in a tile; default: 0")
    parser.add_argument("--list", action="store_true", help="a table of every tile's k loop")
    arguments = parser.parse_args()
    tiles = {tile: instructions for path in arguments.files for tile, instructions in tiles_of(path).items()}
    if not tiles:
        sys.exit(f"check_spills: no tile function in {' '.join(arguments.files)}: accepted are objects and "
                 "libraries with kernels/gemm_*.cc, not stripped")
    if problems := check(tiles, arguments.stack, arguments.copies, arguments.list):
        sys.exit("\n".join(f"check_spills: {problem}" for problem in problems))


if __name__ == "__main__":
    main()
