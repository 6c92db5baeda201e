"""What every script here shares: the mesh it is told of in the environment, and checks that say what they found."""

import os
import socket
import ssl
import urllib.parse
import urllib.request

DEADLINE = 15


def setting(name):
    return os.environ["HELIOGRAPH_" + name]


def is_encrypted():
    return setting("EU").startswith("https:")


def authority():
    """The file of the authority that has signed the mesh's certificates; None for a mesh in clear."""
    return setting("CA") if is_encrypted() else None


def trust(*protocols):
    """A context for TLS that believes that authority alone, and offers these protocols (ALPN)."""
    context = ssl.create_default_context(cafile=authority())
    if protocols:
        context.set_alpn_protocols(protocols)
    return context


def address(name="EU"):
    """Host and port of a client listener."""
    url = urllib.parse.urlsplit(setting(name))
    return url.hostname, url.port


def open_socket(name="EU", protocol="h2"):
    """A connection to a client listener, encrypted where the mesh is."""
    plain = dial(name)
    if not is_encrypted():
        return plain
    secured = trust(protocol).wrap_socket(plain, server_hostname=address(name)[0])
    check_equal(secured.selected_alpn_protocol(), protocol, "ALPN")
    return secured


def dial(name="EU"):
    """A bare TCP connection to a client listener."""
    return socket.create_connection(address(name), timeout=DEADLINE)


def answer_of(connection):
    """Everything until the server closes."""
    answer = b""
    try:
        while data := connection.recv(1 << 16):
            answer += data
    except ConnectionResetError:
        pass
    return answer


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def check_equal(found, expected, what):
    check(found == expected, f"{what}: {found!r} is not {expected!r}")


def metrics(name="EU_OPERATIONS"):
    """The series of a node's /metrics."""
    context = trust() if is_encrypted() else None
    with urllib.request.urlopen(setting(name) + "/metrics", timeout=DEADLINE, context=context) as answer:
        lines = answer.read().decode().splitlines()
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}


def door_sessions(door):
    return metrics()[f'heliograph_door_sessions{{door="{door}"}}']
