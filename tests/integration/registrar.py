"""Registers accounts through the product's own use case, in a process that has the stack's environment.

In a process of its own, because the product reads its settings once and keeps its clients.
"""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor

from chalicelib.domain.accounts import Account, Membership


class Registrar:
    """The product's account registry, seen from a test."""

    def __init__(self, environment):
        context = multiprocessing.get_context("spawn")
        self._process = ProcessPoolExecutor(1, context, initializer=_enter, initargs=(environment,))

    def register(self, *accounts, scan_now=False):
        for account in accounts:
            self._process.submit(_register, account.model_dump(), scan_now).result()

    def add_staging_account(self, account_id, staging_account_id, **tags):
        membership = Membership(account_id=account_id, staging_account_id=staging_account_id, **tags)
        self._process.submit(_add_staging_account, membership.model_dump()).result()

    def close(self):
        self._process.shutdown()


def _enter(environment):
    os.environ.update(environment)


def _register(account, scan_now):
    from chalicelib.container import container  # noqa: PLC0415 - once the environment is set

    container().account_registry.register(Account(**account), scan_now=scan_now)


def _add_staging_account(membership):
    from chalicelib.container import container  # noqa: PLC0415 - once the environment is set

    container().account_registry.add_staging_account(Membership(**membership))
