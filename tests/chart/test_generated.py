"""What in the chart is made from something else is up to date."""

import pathlib
import shutil
import subprocess
import tempfile
import unittest

from support import CHART, REPOSITORY


class Generated(unittest.TestCase):
    def test_the_table_of_values_and_the_definition_are_as_make_generate_writes_them(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = pathlib.Path(folder) / "linnet"
            shutil.copytree(CHART, copy)
            subprocess.run([REPOSITORY / "charts/generate", copy], check=True)
            for name in ["README.md", "files/realtimechannels.yaml"]:
                self.assertEqual((CHART / name).read_text(), (copy / name).read_text(), f"{name} is out of date: make generate")

    def test_every_value_is_described(self):
        for line in (CHART / "README.md").read_text().splitlines():
            if line.startswith("| `"):
                self.assertTrue(line.rsplit("|", 2)[1].strip(), f"no description: {line}")


if __name__ == "__main__":
    unittest.main()
