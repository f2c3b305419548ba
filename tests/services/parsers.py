"""Parsers for test_child_parser.py; its child processes import them."""

import os
import time


def echo(data: bytes) -> bytes:
    """What it gets."""
    return data


def scripted(data: bytes) -> bytes:
    """Does what the data says."""
    match data.decode().split():
        case ["spin"]:
            while True:
                pass
        case ["sleep"]:
            time.sleep(600)
        case ["fail"]:
            raise ValueError("no such document")
        case ["exhaust"]:
            return bytes(8 << 30)
        case ["print"]:
            print("noise")
            return b"printed"
        case ["die"]:
            os._exit(7)
        case ["environment"]:
            return "\n".join(os.environ).encode()
        case ["large", size]:
            return bytes(int(size))
    return str(os.getppid()).encode()
