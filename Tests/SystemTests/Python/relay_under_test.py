"""What every script here shares: the mesh it is told of in the environment, and checks that say what they found."""

import os
import urllib.parse
import urllib.request

DEADLINE = 15


def setting(name):
    return os.environ["HELIOGRAPH_" + name]


def address(name="EU"):
    """Host and port of a client listener."""
    url = urllib.parse.urlsplit(setting(name))
    return url.hostname, url.port


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def check_equal(found, expected, what):
    check(found == expected, f"{what}: {found!r} is not {expected!r}")


def metrics(name="EU_OPERATIONS"):
    """The series of a node's /metrics."""
    with urllib.request.urlopen(setting(name) + "/metrics", timeout=DEADLINE) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def door_sessions(door):
    return metrics()[f'heliograph_door_sessions{{door="{door}"}}']
