"""The HTTP API does what its OpenAPI document says, whatever comes."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).parent
KEY = (HERE / "secrets/keys/api.test").read_text().strip()
# Enough for every phase; the run ends sooner if the examples do.
EXAMPLES = 50
DEADLINE = 300


class Api(unittest.TestCase):
    def test_the_api_is_what_its_document_says(self):
        command = [
            Path(sys.executable).parent / "schemathesis",
            "run",
            f"http://{os.environ['LINNET_INTERNAL']}/v1/openapi.json",
            f"--header=Authorization: Bearer {KEY}",
            f"--max-examples={EXAMPLES}",
            "--seed=1",
            "--phases=examples,coverage,fuzzing",
            "--checks=all",
            "--exclude-checks=positive_data_acceptance,negative_data_rejection",
            "--warnings=off",
            "--no-color",
        ]
        environment = {**os.environ, "SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(HERE)}
        # It keeps what it has found where it runs, and tries that first the next time.
        with tempfile.TemporaryDirectory() as folder:
            run = subprocess.run(
                command, cwd=folder, env=environment, timeout=DEADLINE, text=True, capture_output=True
            )
        print(run.stdout[-20_000:], run.stderr, file=sys.stderr)
        self.assertEqual(run.returncode, 0)


if __name__ == "__main__":
    unittest.main()
