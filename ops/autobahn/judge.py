#!/usr/bin/env python3
"""Judges a run of the Autobahn test suite and writes its summary.

usage: judge.py FOLDER SUMMARY CASE_PATTERN...

Exits with 1 unless every case that the patterns name was run and is OK in its behaviour and in how the connection was closed. Two
verdicts of the suite stand beside OK: INFORMATIONAL belongs to the case, whatever happens in it; NON-STRICT is accepted for the
cases of LATER only.
"""

import collections
import json
import pathlib
import sys

import autobahn
import autobahntestsuite
from autobahntestsuite.case import CaseCategories
from cases import expected_cases

AGENT = "heliograph"
CLOSE_ACCEPTED = {"OK", "INFORMATIONAL"}
# Text that is no UTF-8 is refused when its message is complete, not with its first bad byte. RFC 6455, section 8.1, leaves the moment open.
LATER = {"6.4.1", "6.4.2", "6.4.3", "6.4.4"}


def is_accepted(case, result):
    if result["behaviorClose"] not in CLOSE_ACCEPTED:
        return False
    return result["behavior"] in {"OK", "INFORMATIONAL"} or (result["behavior"] == "NON-STRICT" and case in LATER)


def failures(expected, results):
    for case in expected:
        result = results.get(case)
        if result is None:
            yield case, "was not run"
        elif not is_accepted(case, result):
            yield case, f"{result['behavior']}, close {result['behaviorClose']} (code {result['remoteCloseCode']})"


def counts_by_group(results):
    groups = collections.defaultdict(collections.Counter)
    for case, result in results.items():
        groups[int(case.split(".")[0])][result["behavior"]] += 1
    return groups


def summary(results, broken):
    groups = counts_by_group(results)
    verdicts = sorted({verdict for counts in groups.values() for verdict in counts}, key=lambda verdict: (verdict != "OK", verdict))
    lines = ["# Autobahn test suite", ""]
    lines.append(f"Suite {autobahntestsuite.version} on autobahn {autobahn.version}, as `ops/conformance` ran it last.")
    lines += ["", "| group | | " + " | ".join(verdicts) + " |", "|---|---|" + "---:|" * len(verdicts)]
    for group, counts in sorted(groups.items()):
        cells = " | ".join(str(counts[verdict] or "") for verdict in verdicts)
        lines.append(f"| {group} | {CaseCategories.get(str(group), '')} | {cells} |")
    totals = " | ".join(str(sum(counts[verdict] for counts in groups.values())) for verdict in verdicts)
    lines += [f"| all | {len(results)} cases | {totals} |", ""]
    lines += remarks(results)
    lines += [f"- {case}: {reason}" for case, reason in broken]
    return "\n".join(lines).rstrip() + "\n"


def remarks(results):
    other = {verdict: [case for case, result in results.items() if result["behavior"] == verdict] for verdict in ("INFORMATIONAL", "NON-STRICT")}
    texts = {
        "INFORMATIONAL": "the suite only records what happens; the RFC leaves it open.",
        "NON-STRICT": "text that is no UTF-8 is refused when its message is complete, not with its first bad byte (RFC 6455, section 8.1).",
    }
    return [f"- {verdict}, {', '.join(cases)}: {texts[verdict]}" for verdict, cases in other.items() if cases]


def main():
    folder, target, patterns = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    expected = expected_cases(patterns)
    every = {}
    for index in folder.glob("*/reports/index.json"):
        every |= json.loads(index.read_text(encoding="utf-8")).get(AGENT, {})
    results = {case: every[case] for case in expected if case in every}
    broken = list(failures(expected, results))
    target.write_text(summary(results, broken), encoding="utf-8")
    for case, reason in broken:
        print(f"{case}: {reason}", file=sys.stderr)
    print(f"{len(expected) - len(broken)} of {len(expected)} cases accepted", file=sys.stderr)
    sys.exit(1 if broken or not expected else 0)


main()
