"""bench/peers/peer_report.py: results of other builds, what a call has left to measure, and the tables."""

import sys
import tempfile
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "bench" / "peers"))
import peer_blocks
import peer_report
from peer_report import Cell

LIMITS = {"flops": 1e11, "bytes_per_s": 1e10}
BUILD = {"commit": "abc", "compiler": "GNU", "targets": ["AVX3", "AVX2"]}
BF16 = Cell("clip_l", "bf16", "AVX3", 1, "warm", 16)


def a_round(**ms):
    return {"limits": LIMITS, "ms": ms, "errors": {name: 1e-3 for name in ms}}


class PeerReport(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "results.json"

    def results(self, fingerprint="one", build=BUILD, command="compare_peers.py", fresh=False):
        return peer_report.Results(self.path, fingerprint, build, command, fresh)

    def test_cells_have_a_block_and_a_dtype(self):
        self.assertEqual(BF16.key(), "clip_l/bf16/AVX3/1/warm/16")
        self.assertEqual(peer_report.parse_cell(BF16.key()), BF16)

    def test_results_say_by_which_commands(self):
        for command in ("first --tokens 16", "second", "first --tokens 16"):
            results = self.results(command=command)
            results.add_round(BF16, a_round(ours=1.0), {})
            results.save()
        self.assertIn("\nBy `first --tokens 16`, `second`.\n", peer_report.markdown(results, {}))
        self.results(command="measures nothing").save()
        self.assertEqual(self.results().data["commands"], ["first --tokens 16", "second"])

    def refusal(self, *arguments):
        """What is said when results cannot be gone on from; they are left as they are."""
        before = self.path.read_text()
        with self.assertRaises(peer_report.AnotherBuildError) as caught:
            self.results(*arguments)
        self.assertEqual(self.path.read_text(), before)
        return str(caught.exception)

    def test_results_of_another_build_are_refused(self):
        self.results().save()
        here = {"commit": "def", "compiler": "Clang", "targets": ["AVX2"]}
        message = self.refusal("two", here)
        self.assertIn(str(self.path), message)
        self.assertIn("there: commit abc, GNU, peer_ours one, for AVX3 AVX2; ", message)
        self.assertIn("here:  commit def, Clang, peer_ours two, for AVX2; ", message)
        for key, value in here.items():
            self.refusal("one", {**BUILD, key: value})
        self.refusal("two")  # the same commit, with changes
        self.assertEqual(self.results().data["fingerprint"], "one")

    def test_results_of_another_machine_are_refused(self):
        results = self.results()
        machine = dict(results.data["machine"])
        for key, value in {"cpu": "another CPU", "cpus": 1 << 20, "kernel": "0.0"}.items():
            results.data["machine"] = {**machine, key: value}
            results.save()
            self.assertRegex(self.refusal(), f"there: .*{value}.*\n.*here: ")

    def test_fresh_results_forget_those_of_another_build(self):
        results = self.results()
        results.add_round(BF16, a_round(ours=1.0), {})
        results.save()
        fresh = self.results("two", fresh=True)
        self.assertEqual(fresh.cells(), [])
        fresh.save()
        self.assertEqual(self.results("two").data, fresh.data)

    def test_what_failed_is_tried_again_in_the_next_call_alone(self):
        names = ["ours", "ours_f32", "mkl", "blis"]
        results = self.results()
        self.assertEqual(results.to_measure(BF16, names, 1), names)
        results.add_round(BF16, a_round(ours=1.0, ours_f32=2.0, mkl=3.0), {"blis": "why"})
        self.assertEqual(results.to_measure(BF16, names, 1), [])
        self.assertEqual(results.to_measure(BF16, names, 2), names[:3])
        results.save()
        again = self.results()
        self.assertEqual(again.to_measure(BF16, names, 1), ["ours", "ours_f32", "blis"])
        again.add_round(BF16, a_round(ours=1.0, ours_f32=2.0, blis=3.0), {})
        self.assertEqual(again.to_measure(BF16, names, 1), [])
        self.assertEqual(again.failures(BF16), {})

    def test_ratios_are_of_the_same_round(self):
        rounds = [a_round(ours=1.0, ours_f32=1.5, mkl=2.0),
                  a_round(ours=2.0, ours_f32=3.0, mkl=3.0, blis=2.2), a_round(onednn=0.1)]
        peers = peer_report.summary(rounds)["peers"]
        self.assertEqual(peers["mkl"]["ratio"], 1.75)
        self.assertEqual(peers["ours_f32"]["ratio"], 1.5)
        self.assertNotIn("ratio", peers["onednn"])
        self.assertEqual(peer_report.best_peer(peers), "blis")

    def test_tables_of_all_cells_in_order(self):
        results = self.results()
        for cell in (BF16, BF16._replace(dtype="f32", tokens=1), BF16._replace(target="AVX2")):
            results.add_round(cell, a_round(ours=1.0, ours_f32=1.9, mkl=2.0), {})
        self.assertEqual([cell.key() for cell in results.cells()],
                         ["clip_l/f32/AVX3/1/warm/1", "clip_l/bf16/AVX3/1/warm/16",
                          "clip_l/bf16/AVX2/1/warm/16"])
        tables = peer_report.markdown(results, {}).split("### ")[1:]
        self.assertNotIn("our f32", tables[0])
        self.assertIn("| 1.900 (1.900..1.900) |", tables[1])

    def test_tables_have_shares_of_the_peak_and_of_the_tile(self):
        results = self.results()
        without = Cell("clip_l", "f32", "AVX3", 1, "warm", 64)  # as results of older builds are
        results.add_round(without, a_round(ours=10.0), {})
        for tile_flops in (4e10, 8e10):
            round_ = a_round(ours=10.0)
            results.add_round(without._replace(tokens=128),
                              {**round_, "limits": {**LIMITS, "tile_flops": tile_flops}}, {})
        table = peer_report.markdown(results, {}).split("### ")[1]
        # 2 * 64 and 2 * 128 tokens of 2 * 1024 * 4096 weights in 10 ms, of 100 and of 80 GFLOP/s.
        self.assertIn("| tokens | ours ms | GFLOP/s | % of peak | % of tile | % of bandwidth |", table)
        self.assertIn("| 64 | 10 | 107.4 | 107.4 |  |  |", table)
        self.assertIn("| 128 | 10 | 214.7 | 214.7 | 268.4 |  |", table)

    def test_each_block_has_its_tables_and_its_cost(self):
        results = self.results()
        for block in ("ocr2", "clip_l"):
            cell = Cell(block, "f32", "AVX3", 1, "warm", 1)
            results.add_round(cell, a_round(ours=10.0, mkl=20.0), {})
        sections = peer_report.markdown(results, {}).split("\n## ")[1:]
        self.assertEqual([section.split("\n")[0] for section in sections],
                         ["clip_l: dim 1024, hidden 4096, quick_gelu, with biases",
                          "ocr2: dim 896, hidden 4864, silu, gated, without biases"])
        # 2 * 1024 * 4096 and 3 * 896 * 4864 weights, twice as many operations, in 10 ms.
        self.assertIn("| 1 | 10 | 1.7 |", sections[0])
        self.assertIn("| 1 | 10 | 2.6 |", sections[1])
        self.assertEqual(peer_report.bytes_moved("clip_l", "f32", 1), 4 * (2 * 1024 * 4096 + 5120 + 2 * 1024))
        self.assertEqual(peer_report.bytes_moved("ocr2", "bf16", 1), 2 * 3 * 896 * 4864 + 4 * 2 * 896)

    def test_a_peer_gets_the_numbers_of_a_block(self):
        self.assertEqual(peer_blocks.BLOCKS["clip_l"].arguments(),
                         ["--dim=1024", "--hidden=4096", "--activation=quick_gelu", "--cold-layers=24"])
        self.assertEqual(peer_blocks.BLOCKS["deepseek_expert"].arguments(),
                         ["--dim=1280", "--hidden=896", "--activation=silu", "--gated", "--cold-layers=59"])


if __name__ == "__main__":
    unittest.main()
