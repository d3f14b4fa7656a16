"""One process of a peer: started, asked line by line, stopped (SIGSTOP) while others have their turn.

A stopped process cannot disturb the one that is being timed, whatever its idle threads do: OpenMP's and MKL's
spin for a while, and every peer can so keep the waiting policy that suits it best.
"""

import ctypes
import json
import os
import signal
import subprocess


class PeerError(Exception):
    pass


def die_with_parent():
    """A stopped process would otherwise outlive a driver that was killed."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


class PeerProcess:
    """`cpus`: the only ones that the process may use; None for all."""

    def __init__(self, command, env=None, cpus=None, log=subprocess.DEVNULL):
        if cpus:
            command = ["taskset", "-c", ",".join(map(str, cpus)), *command]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1,
            env={**os.environ, **(env or {})}, preexec_fn=die_with_parent,
            start_new_session=True)  # Ctrl-C is for the driver: a peer that it ends would count as failed
        try:
            self.hello = self._read()
        except PeerError:
            self.close()
            raise
        self._process.send_signal(signal.SIGSTOP)

    def ask(self, line):
        """The answer to one line as a dictionary; PeerError if it is an error."""
        self._process.send_signal(signal.SIGCONT)
        try:
            self._process.stdin.write(line + "\n")
            return self._read()
        except BrokenPipeError:
            raise PeerError(f"the process ended with code {self._process.wait()}") from None
        finally:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGSTOP)

    def run(self, tokens, mode, seconds):
        return self.ask(f"run {tokens} {mode} {seconds}")

    def close(self):
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGCONT)
            self._process.stdin.close()
            try:
                self._process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._process.stdout.close()

    def _read(self):
        line = self._process.stdout.readline()
        if not line:
            raise PeerError(f"the process ended with code {self._process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise PeerError(answer["error"])
        return answer
