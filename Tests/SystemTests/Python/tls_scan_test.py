"""Lets sslyze judge a TLS port by Mozilla's "intermediate" configuration.

Run by EncryptedDoorTests.swift. The one complaint that there may be is of the authority, which is nobody's but the mesh's.
"""

import subprocess
import sys

from relay_under_test import DEADLINE, address, check_equal

host, port = address()
command = [sys.executable, "-m", "sslyze", "--mozilla_config=intermediate", f"{host}:{port}"]
report = subprocess.run(command, capture_output=True, text=True, timeout=4 * DEADLINE).stdout
verdict = report[report.index("COMPLIANCE AGAINST TLS CONFIGURATION") :]
complaints = [line.strip(" *").split(":")[0] for line in verdict.splitlines() if line.lstrip().startswith("* ")]
check_equal(complaints, ["certificate_path_validation"], verdict)
print("all checks passed")
