"""What kernels of notebooks print."""

import re


def without_socket_errors(said: str) -> str:
    """Without the one error that a kernel itself may log while it is shut down."""
    end = r"zmq\.error\.ZMQError: Socket operation on non-socket\n"
    return re.sub(r"Traceback \(most recent call last\):\n(?:  .*\n)+" + end, "", said)
