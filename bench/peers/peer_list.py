"""The peers: how each is installed, started, and kept to a lower instruction set."""

import dataclasses
import hashlib
import os
import shutil
import subprocess
import sys

from peer_blocks import BLOCKS
from peer_process import PeerError, PeerProcess
from peer_report import OURS, PEERS_DTYPE


@dataclasses.dataclass
class Peer:
    program: str                       # bench/peers/peer_PROGRAM of a build, or bench/peers/PROGRAM.py
    variant: str = ""                  # its --variant
    pip: tuple = ()                    # packages
    apt: str = ""
    avx2: dict | None = None           # environment that caps it to AVX2; None: it has no such switch
    avx512: dict = dataclasses.field(default_factory=dict)  # environment for the AVX-512 targets
    environment: dict = dataclasses.field(default_factory=dict)  # always; "{venv}" is filled in, in all
    dtypes: tuple = ()                 # that a variant is for; a peer itself says what it does not compute in
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
    # It takes a CPU that is newer than itself for one of 2004.
    "openblas": Peer("openblas", apt="libopenblas-openmp-dev", avx2={"OPENBLAS_CORETYPE": "Haswell"},
                     avx512={"OPENBLAS_CORETYPE": "SkylakeX"}),
    # 3: haswell, in the order of the packaged build.
    "blis": Peer("blis", apt="libblis-openmp-dev", avx2={"BLIS_ARCH_TYPE": "3"}),
    "libxsmm": Peer("libxsmm", apt="libxsmm-dev", avx2={"LIBXSMM_TARGET": "hsw"}),
    "torch": Peer("torch_peer.py", pip=TORCH, avx2=TORCH_AVX2),
    # Its cache would hand a kernel compiled for AVX-512 to a process kept to AVX2: wrong results.
    "torch_compile": Peer("torch_peer.py", variant="compile", pip=TORCH,
                          avx2={**TORCH_AVX2, "TORCHINDUCTOR_CACHE_DIR": "{venv}/inductor-avx2"},
                          environment={"TORCHINDUCTOR_CACHE_DIR": "{venv}/inductor"}),
    # MLAS, which both of these use, has no switch.
    "onnxruntime": Peer("onnxruntime_peer.py", pip=("onnxruntime", "onnx", "numpy")),
    "openvino": Peer("openvino_peer.py", pip=("openvino", "onnx", "numpy")),
    "openvino_static": Peer("openvino_peer.py", variant="static", pip=("openvino", "onnx", "numpy"),
                            dtypes=("int8",)),
    "naive": Peer("naive", avx2={}),
}


class Installation:
    """Where the programs and packages are. `fix`: the command that installs what is missing."""

    def __init__(self, root, build, venv, fix):
        self.root, self.build, self.venv = root, build.resolve(), venv.resolve()
        self.python, self.fix = self.venv / "bin" / "python", fix

    def program(self, name):
        return self.build / "bench" / "peers" / f"peer_{name}"

    def install(self, names):
        """Everything that these peers and the pictures need; only what is missing, where that can be told."""
        packages = sorted({package for name in names for package in PEERS[name].pip} | {"matplotlib"})
        if shutil.which("apt-get"):
            self._call([self.root / "tools" / "install_deps.sh"])
            root = [] if os.geteuid() == 0 else ["sudo"]
            if debian := sorted({PEERS[name].apt for name in names} - {""}):
                self._call([*root, "apt-get", "-qq", "install", "-y", "--no-install-recommends", *debian])
        if not self.python.exists():
            self._call([sys.executable, "-m", "venv", self.venv])
        self._call([self.python, "-m", "pip", "install", "--quiet", *packages])
        is_new = not (self.build / "CMakeCache.txt").exists()
        generator = ["-G", "Ninja"] if is_new and shutil.which("ninja") else []
        self._call(["cmake", "-S", self.root, "-B", self.build, *generator,
                    f"-DFUSEDFFN_PEERS_PREFIX={self.venv}"])
        self._call(["cmake", "--build", self.build, "--parallel", "--target", "peers"])

    def describe_build(self):
        """What peer_limits says of its build, which is that of peer_ours: {"commit": ..., "compiler": ...,
        "targets": [...]}."""
        hello = {}
        for name, options in (("ours", ["--dim=1", "--hidden=1"]), ("limits", [])):
            if not self.program(name).exists():
                sys.exit(f"compare_peers: {self.program(name)} not found; to build it: {self.fix}")
            process = PeerProcess([self.program(name), *options])
            process.close()
            hello[name] = process.hello
        ours, limits = hello["ours"]["version"], hello["limits"]["commit"]
        if f"({limits})" not in ours:
            sys.exit(f"compare_peers: peer_ours is {ours}, but peer_limits of commit {limits}; to build both: "
                     f"{self.fix}")
        return hello["limits"]

    def why_missing(self, name):
        """One line; empty if the peer is there."""
        peer = PEERS[name]
        if peer.program.endswith(".py"):
            if self.has_packages(peer.pip):
                return ""
            return f"no {' '.join(peer.pip)} in the venv"
        if self.program(peer.program).exists():
            return ""
        return f"no {self.program(peer.program).name} in the build"

    def start(self, name, block, dtype, target, capped, threads, log):
        """A process of peer `name`, or one of OURS for `target`. `capped`: keep a peer to that target."""
        peer = Peer("ours", variant=target) if name in OURS else PEERS[name]
        environment = dict(peer.environment)
        if capped and name not in OURS:
            if target != "AVX2" or peer.avx2 is None:
                raise PeerError(f"cannot be kept to {target}")
            environment.update(peer.avx2)
        elif target.startswith("AVX3"):
            environment.update(peer.avx512)
        environment = {key: value.format(venv=self.venv) for key, value in environment.items()}
        command = [self.program(peer.program)]
        if peer.program.endswith(".py"):
            command = [self.python, self.root / "bench" / "peers" / peer.program]
        cpus = sorted(os.sched_getaffinity(0))[:threads] if peer.pinned else None
        names = {"ours": dtype, "ours_f32": "f32"}
        dtype = names.get(name, PEERS_DTYPE.get(dtype, dtype))
        command += [*BLOCKS[block].arguments(), f"--threads={threads}", f"--dtype={dtype}",
                    f"--variant={peer.variant}"]
        return PeerProcess(command, environment, cpus, log)

    def fingerprint(self):
        """Results are of one build of this library."""
        return hashlib.sha256(self.program("ours").read_bytes()).hexdigest()[:16]

    def has_packages(self, requirements):
        names = [requirement.split("==")[0] for requirement in requirements]
        return self.python.exists() and subprocess.run(
            [self.python, "-m", "pip", "show", "--quiet", *names], capture_output=True).returncode == 0

    def _call(self, command):
        text = " ".join(map(str, command))
        print("compare_peers: " + text, file=sys.stderr, flush=True)
        if subprocess.run(command, stdout=sys.stderr).returncode != 0:
            sys.exit(f"compare_peers: --install ends here, since this failed: {text}")
