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
    environment: dict = dataclasses.field(default_factory=dict)  # "{venv}" is filled in
    pinned: bool = False               # has no switch for its threads: gets as many CPUs as it may use threads


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
    "torch_compile": Peer("torch_peer.py", variant="compile", pip=TORCH, avx2=TORCH_AVX2),
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
                sys.exit(f"compare_peers: {self.program(name)} not found: cmake --build {self.build} --target peers")

    def command(self, name):
        """The command line without options, or PeerError."""
        if name == "ours":
            return [self.program("ours")]
        peer = PEERS[name]
        if peer.program.endswith(".py"):
            python = self.venv / "bin" / "python"
            if not python.exists():
                raise PeerError(f"not installed: no {python} (tools/compare_peers.py --install)")
            return [python, self.root / "bench" / "peers" / peer.program]
        if not self.program(peer.program).exists():
            how = f"apt-get install {peer.apt}, then build" if peer.apt else "tools/compare_peers.py --install"
            raise PeerError(f"not built: no {self.program(peer.program).name} in {self.build} ({how})")
        return [self.program(peer.program)]

    def start(self, name, target, capped, threads, log):
        """A process of peer `name`; `capped`: the target to keep it to, None for the machine's best."""
        peer = PEERS.get(name, Peer("ours", variant=target, avx2={}))
        environment = {key: value.format(venv=self.venv) for key, value in peer.environment.items()}
        if capped and name != "ours":
            if capped != "AVX2" or peer.avx2 is None:
                raise PeerError(f"cannot be kept to {capped}")
            environment.update(peer.avx2)
        options = [f"--threads={threads}", f"--variant={peer.variant}"]
        cpus = sorted(os.sched_getaffinity(0))[:threads] if peer.pinned else None
        return PeerProcess([*self.command(name), *options], environment, cpus, log)

    def fingerprint(self, names):
        """What results depend on: this library's program."""
        return hashlib.sha256(self.program("ours").read_bytes()).hexdigest()[:16]

    def _call(self, command):
        print("compare_peers: " + " ".join(map(str, command)), file=sys.stderr, flush=True)
        subprocess.run(command, check=True, stdout=sys.stderr)
