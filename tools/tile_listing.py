"""Disassembled tiles, for check_spills.py: what an instruction does, on x86-64 and on AArch64."""

import re
import shutil
import subprocess
import sys
from typing import NamedTuple

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
TILE = re.compile(r"\bN_((?:AVX|NEON)\w*)::Tile<(?:[\w:]*::)?(\w+), (\d+)\w*, (\d+)\w*, (\d+)\w*(.*)>\(.*\)$")
INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t(?:(?:cs|data16) )*(\S+)\s*([^<]*)")
ADDRESS = re.compile("[0-9a-f]+")


class Tile(NamedTuple):
    target: str
    arithmetic: str  # of kernels/arithmetic-inl.h
    rows: int
    vecs: int
    panels: int
    rest: str  # of the template's arguments, which change nothing in what is accepted

    def __str__(self):
        return f"{self.target} {self.arithmetic} {self.rows}x{self.vecs}x{self.panels}{self.rest}"


class X86(NamedTuple):
    address: int
    name: str
    operands: str

    COMMENT = "#"
    MEMORY = re.compile(r"\((%\w+)?(?:,(%\w+))?(?:,\d)?\)")
    VECTOR = re.compile(r"%[xyz]mm\d+")
    WRITES_NO_REGISTER = re.compile(r"cmp|test|j|prefetch|v|nop")  # what such names begin with

    def jump_target(self):
        if self.name.startswith("j") and ADDRESS.fullmatch(self.operands):
            return int(self.operands, 16)
        return None

    def is_multiply_add(self):
        return self.name.startswith(("vfmadd", "vdpbf16ps", "vpdpbusd", "vpmaddwd"))

    def is_prefetch(self):
        return self.name.startswith("prefetch")

    def broadcasts(self):
        return int("broadcast" in self.name or "{1to" in self.operands)

    def is_copy(self):
        moves = self.name.startswith(("mov", "vmov")) and "(" not in self.operands
        return moves and self.VECTOR.search(self.operands) is not None

    def loads(self):
        reads = self.MEMORY.search(self.operands) and not self.MEMORY.search(self.last_operand())
        return int(bool(reads and self.VECTOR.search(self.operands)) and not self.broadcasts())

    def last_operand(self):
        return re.split(r",(?![^(]*\))", self.operands)[-1].strip()

    def changed_registers(self):
        return set() if self.WRITES_NO_REGISTER.match(self.name) else {self.last_operand()}

    def uses_stack(self, moving):
        """Or memory that is as good as one; `moving`: the registers that change in the loop."""
        if self.name.startswith(("call", "push", "pop")):
            return True
        memory = self.MEMORY.search(self.operands)
        if memory is None or self.name.startswith(("lea", "nop")):
            return False
        stores = self.VECTOR.search(self.operands) and self.MEMORY.search(self.last_operand())
        return bool(stores) or not moving & set(memory.groups())


class AArch64(NamedTuple):
    address: int
    name: str
    operands: str

    COMMENT = "//"
    MEMORY = re.compile(r"\[([wxs]\w+)(?:, ([wx]\w+))?.*\](!|,)?")
    VECTOR = re.compile(r"\b[bhsdqv]\d+\b")
    JUMP = re.compile(r"b|b\..*|cbn?z|tbn?z")
    COPY = re.compile(r"f?mov|dup|orr|ins|umov")

    def jump_target(self):
        last = self.operands.split(",")[-1].strip()
        return int(last, 16) if self.JUMP.fullmatch(self.name) and ADDRESS.fullmatch(last) else None

    def is_multiply_add(self):
        return self.name in ("fmla", "bfdot", "sdot", "udot", "usdot")

    def is_prefetch(self):
        return self.name.startswith("prf")

    def broadcasts(self):
        """Of one float, into all lanes (ld1r) or into the one that fmla takes for all."""
        if not self.name.startswith("ld") or "[" not in self.operands:
            return 0
        registers = self.operands[:self.operands.index("[")]
        return len(re.findall(r"\bs\d+", registers)) or int(self.name == "ld1r")

    def loads(self):
        """Of whole vectors; `ldp` is two of them."""
        if not self.name.startswith("ld") or self.broadcasts() or "[" not in self.operands:
            return 0
        return len(self.VECTOR.findall(self.operands[:self.operands.index("[")]))

    def is_copy(self):
        return self.COPY.fullmatch(self.name) is not None and self.VECTOR.search(self.operands) is not None

    def changed_registers(self):
        changed = set()
        memory = self.MEMORY.search(self.operands)
        if memory and memory[3]:  # [x0, #16]! or [x0], #16
            changed.add(memory[1])
        if not (self.name.startswith(("st", "prf", "cmp", "cmn", "tst")) or self.JUMP.fullmatch(self.name)):
            changed.add(self.operands.split(",")[0].strip())
        return changed

    def uses_stack(self, moving):
        """As on x86-64."""
        if self.name in ("bl", "blr"):
            return True
        memory = self.MEMORY.search(self.operands)
        if memory is None:
            return False
        stores = self.name.startswith("st") and self.VECTOR.search(self.operands)
        return bool(stores) or not moving & {memory[1], memory[2]}


# By ELF's number of the machine: its instructions, and the disassembler's names on a machine of its own kind
# and on any other.
MACHINES = {62: (X86, ["objdump", "x86_64-linux-gnu-objdump"]),
            183: (AArch64, ["aarch64-linux-gnu-objdump", "objdump"])}


def machine_of(path):
    """An object's, or that of a library's first object."""
    with open(path, "rb") as file:
        content = file.read()
    start = content.find(b"\x7fELF")
    machine = int.from_bytes(content[start + 18:start + 20], "little") if start >= 0 else None
    if machine not in MACHINES:
        sys.exit(f"check_spills: {path}: accepted are ELF objects and libraries for x86-64 and AArch64")
    return MACHINES[machine]


def tiles_of(path):
    """{Tile: its instructions} of an object or a library."""
    kind, names = machine_of(path)
    objdump = next(filter(None, map(shutil.which, names)), None)
    if objdump is None:
        sys.exit(f"check_spills: {path}: needs one of {', '.join(names)}: apt-get install binutils")
    process = subprocess.run([objdump, "--disassemble", "--no-show-raw-insn", "--demangle", path],
                             stdout=subprocess.PIPE, text=True)
    if process.returncode != 0:
        sys.exit(1)  # objdump has said why
    tiles, current = {}, None
    for line in process.stdout.splitlines():
        if header := FUNCTION.match(line):
            match = TILE.search(header[1])
            tile = match and Tile(match[1], match[2], *map(int, match.group(3, 4, 5)), match[6])
            if tile and kind is AArch64 and tile.arithmetic == "Int8" and tile.target != "NEON_BF16":
                tile = None
            current = tiles.setdefault(tile, []) if tile else None
        elif current is not None and (match := INSTRUCTION.match(line)):
            current.append(kind(int(match[1], 16), match[2], match[3].split(kind.COMMENT)[0].strip()))
    return tiles
