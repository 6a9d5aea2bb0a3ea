"""hiredis, blocking and asynchronous. Its scenarios are in hiredis_client.cc, compiled here."""

import pathlib
import re
import subprocess

from cases import ClusterTest
from resp import SLOWDOWN

SOURCE = pathlib.Path(__file__).resolve().parent / "hiredis_client.cc"


class Hiredis(ClusterTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        binary = cls.cluster.folder / "hiredis_client"
        subprocess.run(["g++", "-std=c++20", "-O1", "-Wall", "-Wextra", "-o", str(binary),
                        str(SOURCE), "-lhiredis", "-luv"], check=True)
        ports = [str(node.port) for node in cls.cluster.nodes]
        ran = subprocess.run([str(binary), *ports], capture_output=True, text=True,
                             timeout=60 * SLOWDOWN, check=False)
        cls.lines = ran.stdout.splitlines()

    @classmethod
    def renew(cls):
        """All scenarios have run by then."""


def add_tests(case):
    for sentence in re.findall(r'Run\("(.+?)",', SOURCE.read_text()):
        def check(self, sentence=sentence):
            self.assertIn("ok " + sentence, self.lines)
        setattr(case, "test_" + sentence.replace(" ", "_"), check)


add_tests(Hiredis)
