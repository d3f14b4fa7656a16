"""The peers: how each is installed, started, and kept to a lower instruction set."""

import dataclasses
import hashlib
import os
import subprocess
import sys

from peer_process import PeerError, PeerProcess


@dataclasses.dataclass
class Peer:
    program: str                       # bench/peers/peer_PROGRAM of a build, or bench/peers/PROGRAM.py
    variant: str = ""                  # its --variant
    pip: tuple = ()                    # packages
    apt: str = ""
    avx2: dict | None = None           # environment that caps it to AVX2; None: it has no such switch
    environment: dict = dataclasses.field(default_factory=dict)  # always; "{venv}" is filled in, in both
    pinned: bool = False               # has no switch for its threads: gets as many CPUs instead


MKL = ("mkl-devel", "mkl-include")
MKL_AVX2 = {"MKL_ENABLE_INSTRUCTIONS": "AVX2"}
ONEDNN_AVX2 = {"ONEDNN_MAX_CPU_ISA": "AVX2"}
TORCH = ("torch==2.13.0", "numpy")
TORCH_AVX2 = {**MKL_AVX2, **ONEDNN_AVX2, "ATEN_CPU_CAPABILITY": "avx2"}

PEERS = {
    "mkl": Peer("mkl", pip=MKL, avx2=MKL_AVX2),
    "mkl_packed": Peer("mkl", variant="packed", pip=MKL, avx2=MKL_AVX2),
    # The packaged build is the SYCL one: its threads are those of the OpenCL CPU device.
    "onednn": Peer("onednn", pip=("onednn-devel",), avx2=ONEDNN_AVX2, pinned=True,
                   environment={"OCL_ICD_FILENAMES": "{venv}/lib/libintelocl.so",
                                "LD_LIBRARY_PATH": "{venv}/lib"}),
    "openblas": Peer("openblas", apt="libopenblas-openmp-dev", avx2={"OPENBLAS_CORETYPE": "Haswell"}),
    # 3: haswell, in the order of the packaged build.
    "blis": Peer("blis", apt="libblis-openmp-dev", avx2={"BLIS_ARCH_TYPE": "3"}),
    "torch": Peer("torch_peer.py", pip=TORCH, avx2=TORCH_AVX2),
    # Its cache would hand a kernel compiled for AVX-512 to a process kept to AVX2: wrong results.
    "torch_compile": Peer("torch_peer.py", variant="compile", pip=TORCH,
                          avx2={**TORCH_AVX2, "TORCHINDUCTOR_CACHE_DIR": "{venv}/inductor-avx2"},
                          environment={"TORCHINDUCTOR_CACHE_DIR": "{venv}/inductor"}),
    # MLAS, which both of these use, has no switch.
    "onnxruntime": Peer("onnxruntime_peer.py", pip=("onnxruntime", "onnx", "numpy")),
    "openvino": Peer("openvino_peer.py", pip=("openvino", "onnx", "numpy")),
    "naive": Peer("naive", avx2={}),
}


class Installation:
    """Where the programs and packages are."""

    def __init__(self, root, build, venv):
        self.root, self.build, self.venv = root, build.resolve(), venv.resolve()

    def program(self, name):
        return self.build / "bench" / "peers" / f"peer_{name}"

    def install(self, names):
        python = self.venv / "bin" / "python"
        if not python.exists():
            self._call([sys.executable, "-m", "venv", self.venv])
        packages = sorted({package for name in names for package in PEERS[name].pip})
        self._call([python, "-m", "pip", "install", "--quiet", *packages])
        self._call(["cmake", "-S", self.root, "-B", self.build, f"-DFUSEDFFN_PEERS_PREFIX={self.venv}"])
        self._call(["cmake", "--build", self.build, "--target", "peers"])

    def check(self):
        for name in ("ours", "limits"):
            if not self.program(name).exists():
                sys.exit(f"compare_peers: {self.program(name)} not found: "
                         f"cmake --build {self.build} --target peers")

    def why_missing(self, name):
        """One line; empty if the peer is there."""
        peer = PEERS[name]
        if peer.program.endswith(".py"):
            if self._has_packages(peer.pip):
                return ""
            return f"no {' '.join(peer.pip)} in {self.venv} (tools/compare_peers.py --install)"
        if self.program(peer.program).exists():
            return ""
        how = f"apt-get install {peer.apt}" if peer.apt else "tools/compare_peers.py --install"
        return f"no {self.program(peer.program).name} in {self.build} ({how}, then configure and build)"

    def start(self, name, target, capped, threads, log):
        """A process of peer `name`, or of this library for `target`. `capped`: keep a peer to that target."""
        peer = PEERS.get(name, Peer("ours", variant=target))
        environment = dict(peer.environment)
        if capped and name != "ours":
            if target != "AVX2" or peer.avx2 is None:
                raise PeerError(f"cannot be kept to {target}")
            environment.update(peer.avx2)
        environment = {key: value.format(venv=self.venv) for key, value in environment.items()}
        command = [self.program(peer.program)]
        if peer.program.endswith(".py"):
            command = [self.venv / "bin" / "python", self.root / "bench" / "peers" / peer.program]
        cpus = sorted(os.sched_getaffinity(0))[:threads] if peer.pinned else None
        command += [f"--threads={threads}", f"--variant={peer.variant}"]
        return PeerProcess(command, environment, cpus, log)

    def fingerprint(self):
        """Results are of one build of this library."""
        return hashlib.sha256(self.program("ours").read_bytes()).hexdigest()[:16]

    def _has_packages(self, requirements):
        python = self.venv / "bin" / "python"
        names = [requirement.split("==")[0] for requirement in requirements]
        return python.exists() and subprocess.run([python, "-m", "pip", "show", "--quiet", *names],
                                                  capture_output=True).returncode == 0

    def _call(self, command):
        print("compare_peers: " + " ".join(map(str, command)), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=sys.stderr)
