"""The exceptions for a wrong request and for a fault of the surroundings, as opposed to an error of the program."""


class UserError(ValueError):
    """A request that cannot be served: its message says what was wrong, where, and what is allowed.

    The command line prints the message on one line and exits with code 2.

    >>> try:
    ...     fr.resnet18(stem="5x5/1")
    ... except fr.UserError as error:
    ...     print(error)
    resnet18: stem: Input should be '7x7/2' or '3x3/1', got '5x5/1'
    """


class MachineFault(RuntimeError):
    """A fault of the machine or operating system, such as too little shared memory. It says nothing about the run, so no study
    records it.

    The command line prints the message on one line and exits with code 1.
    """


def check_type(value: object, kind: type, what: str, such_as: str = "") -> None:
    """Raises UserError, which begins with `what`, unless a value is of a type."""
    if not isinstance(value, kind):
        example = f", {such_as}" if such_as else ""
        raise UserError(f"{what}: must be of the type {kind.__name__}{example}, got {type(value).__name__}")


def first_line(error: BaseException) -> str:
    """The first line of any exception's message, or the name of its type if the message is empty."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def last_line(error: BaseException) -> str:
    """The last line of any exception's message, or the name of its type if the message is empty. An exception that comes from
    another process has its traceback there before it."""
    return next(iter(str(error).splitlines()[::-1]), type(error).__name__)
