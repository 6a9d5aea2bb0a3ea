"""ioredis and node-redis. Their scenarios are in ioredis_client.mjs and node_redis_client.mjs."""

import json
import re
import subprocess

from cases import ClusterTest, node_script
from cluster import HERE
from resp import SLOWDOWN

SECONDS = 150 * SLOWDOWN


def sentences_of(script):
    """The scenarios in a script, as its source names them."""
    source = (HERE / script).read_text()
    plain = re.findall(r"^  '(.+)': async", source, re.M)
    twice = re.findall(r"^  add\('(.+)', async", source, re.M)
    return plain + [f"RESP{resp}: {sentence}" for resp in (2, 3) for sentence in twice]


class NodeClientTest(ClusterTest):
    script = None
    results = {}

    @classmethod
    def setUpClass(cls):
        command = node_script(cls.script)
        super().setUpClass()
        ports = [str(node.port) for node in cls.cluster.nodes]
        ran = subprocess.run([*command, *ports], capture_output=True, text=True,
                             timeout=SECONDS, check=False)
        lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
        cls.results = {line["sentence"]: line for line in lines}
        cls.last_words = ran.stderr

    @classmethod
    def renew(cls):
        """All scenarios have run by then."""

    def check(self, sentence):
        result = self.results.get(sentence)
        self.assertIsNotNone(result, f"it was not run\n{self.last_words}")
        self.assertTrue(result["ok"], result.get("error"))


def add_tests(case):
    """A test for each scenario, so that each is counted and named."""
    for sentence in sentences_of(case.script):
        name = "test_" + re.sub(r"\W+", "_", sentence).strip("_")
        setattr(case, name, lambda self, sentence=sentence: self.check(sentence))
    return case


@add_tests
class IoRedis(NodeClientTest):
    script = "ioredis_client.mjs"


@add_tests
class NodeRedis(NodeClientTest):
    script = "node_redis_client.mjs"
