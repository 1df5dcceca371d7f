"""Worker: one process of the service, as the environment describes it."""

import os

import torch
from fastapi import FastAPI

from warmstart.service.app import create_app
from warmstart.service.logs import log_as_json
from warmstart.service.settings import Settings


def app() -> FastAPI:
    """The service; workers share the machine's cores, since threads that wait for each other answer nobody."""
    log_as_json()
    found = Settings()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // found.workers))
    return create_app(found.models, found.store, keys=found.keys)
