#!/usr/bin/env python3
"""Turns the Autobahn test suite, which is Python 2 source, into a package for Python 3.11 or 3.12.

usage: port.py SDIST.tar.gz SITE_PACKAGES

lib2to3 changes the syntax. What it cannot know is that the suite's texts are bytes on the wire: they are read as Latin-1, one
character a byte, and turned back into bytes where they leave the suite or are compared with what comes in.
"""

import logging
import pathlib
import re
import shutil
import sys
import tarfile
import tempfile
import warnings

warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

from lib2to3.refactor import RefactoringTool, get_fixers_from_package  # noqa: E402

PACKAGE = "autobahntestsuite"

# WAMP, load generators and the like: nothing here needs them, and they do not port.
DEAD_MODULES = ["broadcast", "massconnect", "serializer", "wampfuzzing", "wamptestee", "wamptestserver", "wsperfcontrol", "wsperfmaster"]
DEAD_FILES = ["wampcase", "testdb.py", "testrun.py"] + [name + ".py" for name in DEAD_MODULES]

BYTES_MODULE = '''\
import binascii


def to_bytes(value):
    """The bytes that a Python 2 text stands for."""
    if isinstance(value, str):
        try:
            return value.encode("latin-1")
        except UnicodeEncodeError:
            return value.encode("utf-8")
    return bytes(value) if isinstance(value, bytearray) else value


def to_hex(value):
    return binascii.b2a_hex(to_bytes(value)).decode()


def all_bytes(value):
    """Events as the suite expects and records them, with every text as bytes, so that they compare."""
    if isinstance(value, (list, tuple)):
        return [all_bytes(item) for item in value]
    return to_bytes(value)
'''
BYTES_IMPORT = f"from {PACKAGE}._bytes import to_bytes, to_hex, all_bytes\n"

# autobahn 0.10.9 divides with / where it repeats a payload up to `payload_len`.
SENDERS = '''\
   def sendFrame(self, opcode, payload=b"", **options):
      payload = to_bytes(payload)
      length = options.pop("payload_len", None)
      if length is not None:
         payload = (payload * (length // len(payload) + 1))[:length]
      return super().sendFrame(opcode, payload, **options)

   def sendMessage(self, payload, *arguments, **options):
      return super().sendMessage(to_bytes(payload), *arguments, **options)

   def sendMessageFrame(self, payload, *arguments, **options):
      return super().sendMessageFrame(to_bytes(payload), *arguments, **options)

   def sendMessageFrameData(self, payload, *arguments, **options):
      return super().sendMessageFrameData(to_bytes(payload), *arguments, **options)

   def sendCloseFrame(self, code=None, reasonUtf8=None, isReply=False):
      return super().sendCloseFrame(code=code, reasonUtf8=to_bytes(reasonUtf8), isReply=isReply)

'''

# What json cannot write by itself.
JSON_DEFAULT = "default=lambda value: value.decode('latin-1') if isinstance(value, (bytes, bytearray)) else str(value), "


def edit(path, *changes):
    """Replaces texts in a file. One that is not there means another version of the suite: better an error than a wrong verdict."""
    source = path.read_text(encoding="utf-8")
    for old, new in changes:
        if old not in source:
            sys.exit(f"port.py: {path.name} does not contain {old!r}")
        source = source.replace(old, new)
    path.write_text(source, encoding="utf-8")


def unpack(sdist, site):
    package = site / PACKAGE
    shutil.rmtree(package, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder, tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
        (source,) = pathlib.Path(folder).glob(f"*/{PACKAGE}")
        shutil.copytree(source, package)
    for name in DEAD_FILES:
        path = package / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return package


def translate(package):
    edit(package / "__init__.py", ("import broadcast\n", ""), ("import massconnect\n", ""))
    edit(package / "wstest.py", ("import broadcast\n", ""), ("import massconnect\n", ""), ("import serializer\n", ""))
    tool = RefactoringTool(get_fixers_from_package("lib2to3.fixes"))
    for path in package.rglob("*.py"):
        source = path.read_text(encoding="latin-1")
        translated = str(tool.refactor_string(source if source.endswith("\n") else source + "\n", str(path)))
        path.write_text(translated.replace("(object, Case, )", "(Case, )").replace(".tostring()", ".tobytes()"), encoding="utf-8")


def port_fuzzing(path):
    edit(
        path,
        ("class FuzzingProtocol:", BYTES_IMPORT + "\n\nclass FuzzingProtocol:"),
        ("   def enableWirelog(self, enable):", SENDERS + "   def enableWirelog(self, enable):"),
        ("binascii.b2a_hex(data[:maxlen])", "to_hex(data[:maxlen])"),
        ("binascii.b2a_hex(data)", "to_hex(data)"),
        ("binascii.b2a_hex(frameHeader.mask)", "to_hex(frameHeader.mask)"),
        ("         dd = data[:maxlen] + ellipses\n", "         dd = to_bytes(data[:maxlen]) + ellipses.encode()\n"),
        ("         dd = data\n", "         dd = to_bytes(data)\n"),
        ("p = ''.join(payload)", "p = b''.join(payload)"),
        ("json.dumps(case, ", "json.dumps(case, " + JSON_DEFAULT),
        ('c[1])).encode("utf-8"))', "c[1])))"),
        ("ll.encode('utf8')", "ll"),
        ("obj = json.loads(msg)", "obj = json.loads(to_bytes(msg).decode('utf-8'))"),
        ("report_filename), 'w')", "report_filename), 'w', encoding='utf-8', errors='replace')"),
    )


def port_cases(folder):
    # Not part of the suite's list, and not portable.
    edit(folder / "__init__.py", ("from .case9_9_1 import *\n", ""))
    edit(folder / "case.py", ("pickle.dumps(obj1) == pickle.dumps(obj2)", "all_bytes(obj1) == all_bytes(obj2)"), ("import pickle\n", BYTES_IMPORT))
    edit(folder / "case6_x_x.py", ("v.validate(vss[:i])", "v.validate(vss[:i].encode('latin-1'))"))
    edit(folder / "case10_1_1.py", ("len(self.payload) / self.p.autoFragmentSize", "len(self.payload) // self.p.autoFragmentSize"))
    for path in folder.glob("case*.py"):
        source = path.read_text(encoding="utf-8")
        if "binascii.b2a_hex(" in source:
            path.write_text(BYTES_IMPORT + re.sub(r"binascii\.b2a_hex\(", "to_hex(", source), encoding="utf-8")


def main():
    sdist, site = sys.argv[1], pathlib.Path(sys.argv[2])
    package = unpack(sdist, site)
    translate(package)
    (package / "_bytes.py").write_text(BYTES_MODULE, encoding="utf-8")
    port_fuzzing(package / "fuzzing.py")
    port_cases(package / "case")


main()
