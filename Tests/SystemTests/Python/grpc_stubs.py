"""Code for gRPC, generated from our .proto as any user would do it."""

import importlib
import os
import sys
import tempfile

from grpc_tools import protoc

PROTOS = os.path.join(os.path.dirname(__file__), "..", "..", "..", "Sources", "Wire", "Protos")


def generate():
    """Returns the modules of messages and of the service."""
    folder = tempfile.TemporaryDirectory(prefix="heliograph-grpc-")
    source = "heliograph/v1/relay.proto"
    code = protoc.main(["protoc", f"-I{PROTOS}", f"--python_out={folder.name}", f"--grpc_python_out={folder.name}", source])
    if code != 0:
        raise AssertionError(f"protoc failed with {code}")
    sys.path.insert(0, folder.name)
    modules = [importlib.import_module("heliograph.v1." + name) for name in ("relay_pb2", "relay_pb2_grpc")]
    folder.cleanup()
    return modules
