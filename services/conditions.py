"""What is wrong with a running ``khabar up``: a full disk, a process that keeps crashing."""

import shutil
from pathlib import Path
from typing import Any, Final

from services import instances
from services.settings import Settings

OK: Final = "ok"


def checks(settings: Settings) -> dict[str, str]:
    """By name, ``ok`` or what is wrong; empty where no ``khabar up`` runs on the data directory of the settings."""
    recorded = instances.endpoints(settings.data_dir)
    if "processes" not in recorded:
        return {}
    return {
        "disk": disk(settings.data_dir, settings.min_free_bytes),
        "processes": "; ".join(_crash_loops(recorded)) or OK,
    }


def disk(data_dir: Path, min_free_bytes: int) -> str:
    """``ok``, or how little room is left for the data of Kafka and Valkey."""
    try:
        usage = shutil.disk_usage(data_dir)
    except OSError as error:
        return f"the data directory cannot be read: {error.strerror}"
    if usage.free >= min_free_bytes:
        return OK
    return f"{usage.free / 1e6:.0f} MB free for the data, less than {min_free_bytes / 1e6:.0f} MB"


def _crash_loops(recorded: dict[str, Any]) -> list[str]:
    return [
        f"{name} keeps crashing: {state['last_exit']}, restarted {state['restarts']} times"
        for name, state in recorded.get("restarts", {}).items()
        if state["crash_loop"]
    ]
