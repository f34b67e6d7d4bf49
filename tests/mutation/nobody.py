"""Give root's rights away: what a program then does wrong can harm no file of the machine."""

from __future__ import annotations

import ctypes
import os

NOBODY = 65534
_KEEP_CAPABILITIES, _AMBIENT, _RAISE, _READ_ALL = 8, 47, 2, 2
_VERSION_3 = 0x20080522


def become_nobody(user: int = NOBODY) -> None:
    """As root become another user, who may still read every file: Python itself may lie in root's home.

    Another user stays himself.
    """
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_KEEP_CAPABILITIES, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    header = (ctypes.c_uint32 * 2)(_VERSION_3, 0)
    rights = (ctypes.c_uint32 * 6)(*[1 << _READ_ALL] * 3, 0, 0, 0)  # effective, permitted, inheritable
    if libc.capset(header, rights) == 0:  # a container may lack the right
        libc.prctl(_AMBIENT, _RAISE, _READ_ALL, 0, 0)
