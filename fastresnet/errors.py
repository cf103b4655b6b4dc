"""The exception for a wrong request, as opposed to an error of the program."""


class UserError(ValueError):
    """A request that cannot be served: its message says what was wrong, where, and what is allowed.

    The command line prints the message on one line and exits with code 2.
    """


def first_line(error: BaseException) -> str:
    """The first line of any exception's message, or the name of its type if the message is empty."""
    return next(iter(str(error).splitlines()), type(error).__name__)
