"""Worker: one process of the service, as the environment describes it."""

import os
import sys

import torch
from fastapi import FastAPI

from warmstart.service.app import create_app
from warmstart.service.ops.logging import log_as_json
from warmstart.service.settings import Settings

# seconds until a thread that looks something up lets the event loop go on, and the other way round
SWITCH = 0.0005


def app() -> FastAPI:
    """The service; workers share the machine's cores, since threads that wait for each other answer
    nobody.
    """
    log_as_json()
    found = Settings()
    sys.setswitchinterval(SWITCH)
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // found.workers))
    return create_app(found.models, found.store, keys=found.keys)
