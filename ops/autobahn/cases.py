"""The cases that patterns name. As a program: fails if one names none, which the suite itself would wait on for ever.

usage: cases.py CASE_PATTERN...
"""

import sys

from autobahntestsuite.case import CaseBasename, CaseCategories, Cases, CaseSetname, CaseSubCategories
from autobahntestsuite.caseset import CaseSet


def expected_cases(patterns):
    cases = CaseSet(CaseSetname, CaseBasename, Cases, CaseCategories, CaseSubCategories)
    return [case for case in cases.parseSpecCases({"cases": patterns}) if case in cases.CasesById]


if __name__ == "__main__":
    for pattern in sys.argv[1:]:
        if not expected_cases([pattern]):
            sys.exit(f"error: the suite has no case {pattern}")
