"""The one exception that means "the request was wrong", as opposed to "the program is"."""


class UserError(ValueError):
    """A request that cannot be served: its message says what was wrong, where, and what is allowed.

    The command line prints the message on one line and exits with code 2.
    """


def first_line(error: BaseException) -> str:
    """What an exception of somebody else's says, without what follows its first line; its type if it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)
