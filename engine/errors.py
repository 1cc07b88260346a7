"""The one error family: a sentence that says what was expected, what came, and what to do."""

from __future__ import annotations


class WorkbenchError(Exception):
    """Base of every error that this project raises on purpose."""


class InputError(WorkbenchError, ValueError):
    """A value from the caller that cannot be used: the command line ends with exit code 2."""


class NotFoundError(WorkbenchError, LookupError):
    """A name, file, document or model that does not exist where it was looked for."""


class MissingExtraError(WorkbenchError, ImportError):
    """An optional package that this feature needs and that is missing or has another version."""


class CorruptDataError(WorkbenchError):
    """A stored file that is truncated, altered, or written by an unknown format version."""


class StorageError(WorkbenchError):
    """A disk that could not be written to or read from: it is full, read-only or gone; what was there is kept."""


class BusyError(WorkbenchError):
    """Something that another process holds: a writer's lock, a port."""


class WorkerError(WorkbenchError):
    """A process or machine that worked for this one and ended, or does not answer."""


class UnsupportedError(WorkbenchError):
    """An operation that this backend cannot do; its `describe()` says so beforehand."""


class TrainingError(WorkbenchError):
    """A training run that cannot go on, such as a loss that is not a number: the sentence names step and batch."""


def missing_extra(package: str, extra: str, why: str = "") -> MissingExtraError:
    """Build the error for an absent optional package.

    Args:
        package: Name of the package that could not be imported.
        extra: The extra of this project that installs it.
        why: What was found instead, when the package is there but cannot be used.

    Returns:
        The error, ready to raise.
    """
    reason = why or f"{package} is not installed"
    return MissingExtraError(f'{reason}: install it with `pip install "late-interaction-workbench[{extra}]"`.')
