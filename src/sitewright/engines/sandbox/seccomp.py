"""The system call filter: classic BPF (seccomp(2)), assembled here so that no library is needed.

It is a deny list: what Python, Node, PHP and compilers do works, what administers a machine or widens the kernel's attack surface does
not. Numbers are from the kernel's syscall tables (arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
"""

from __future__ import annotations

import errno
import platform
import struct
from dataclasses import dataclass

_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_AT_LEAST = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

ALLOW = 0x7FFF0000
KILL = 0x80000000
_ERROR = 0x00050000

_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24
"""Offsets in struct seccomp_data; of arguments the low 32 bits (both architectures are little-endian)."""

NEW_NAMESPACES = 0x00020000 | 0x02000000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000 | 0x00000080
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET, NEWTIME."""

SOCKET_FAMILIES = (1, 2, 10, 16)
"""AF_UNIX, AF_INET, AF_INET6, AF_NETLINK (getifaddrs); no vsock, packet, AF_ALG, Bluetooth and the like."""

TERMINAL_INJECTION = (0x5412, 0x541C)
"""TIOCSTI and TIOCLINUX put characters into somebody's terminal."""

PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
"""Plain Linux, 32-bit names, and the question which it is; none that turns address randomisation off."""

_X86_64 = {
    "ptrace": 101, "syslog": 103, "uselib": 134, "ustat": 136, "sysfs": 139, "vhangup": 153, "modify_ldt": 154, "pivot_root": 155,
    "_sysctl": 156, "chroot": 161, "acct": 163, "settimeofday": 164, "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168,
    "reboot": 169, "sethostname": 170, "setdomainname": 171, "iopl": 172, "ioperm": 173, "create_module": 174, "init_module": 175,
    "delete_module": 176, "get_kernel_syms": 177, "query_module": 178, "quotactl": 179, "nfsservctl": 180, "lookup_dcookie": 212,
    "clock_settime": 227, "mbind": 237, "set_mempolicy": 238, "get_mempolicy": 239, "kexec_load": 246, "add_key": 248,
    "request_key": 249, "keyctl": 250, "migrate_pages": 256, "unshare": 272, "move_pages": 279, "perf_event_open": 298,
    "fanotify_init": 300, "name_to_handle_at": 303, "open_by_handle_at": 304, "clock_adjtime": 305, "adjtimex": 159, "setns": 308,
    "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312, "finit_module": 313, "kexec_file_load": 320, "bpf": 321,
    "userfaultfd": 323,
}  # fmt: skip
_AARCH64 = {
    "ptrace": 117, "syslog": 116, "vhangup": 58, "pivot_root": 41, "chroot": 51, "acct": 89, "settimeofday": 170, "mount": 40,
    "umount2": 39, "swapon": 224, "swapoff": 225, "reboot": 142, "sethostname": 161, "setdomainname": 162, "init_module": 105,
    "delete_module": 106, "quotactl": 60, "nfsservctl": 42, "lookup_dcookie": 18, "clock_settime": 112, "mbind": 235,
    "set_mempolicy": 237, "get_mempolicy": 236, "kexec_load": 104, "add_key": 217, "request_key": 218, "keyctl": 219,
    "migrate_pages": 238, "unshare": 97, "move_pages": 239, "perf_event_open": 241, "fanotify_init": 262, "name_to_handle_at": 264,
    "open_by_handle_at": 265, "clock_adjtime": 266, "adjtimex": 171, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271,
    "kcmp": 272, "finit_module": 273, "kexec_file_load": 294, "bpf": 280, "userfaultfd": 282,
}  # fmt: skip
_BOTH = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429, "fsopen": 430,
    "fsconfig": 431, "fsmount": 432, "fspick": 433, "pidfd_getfd": 438, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447,
    "set_mempolicy_home_node": 450, "statmount": 457, "listmount": 458, "lsm_set_self_attr": 460, "open_tree_attr": 467,
}  # fmt: skip
"""Since 5.1 all architectures number new calls alike."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """What the filter must know of a processor: its AUDIT_ARCH value and numbers of the calls it looks into."""

    audit: int
    denied: tuple[tuple[str, int], ...]
    clone: int
    ioctl: int
    socket: int
    personality: int
    clone3: int = 435
    foreign_numbers_from: int = 0
    """Numbers from here on belong to another calling convention (x32); 0 for none."""


ARCHITECTURES = {
    "x86_64": Architecture(0xC000003E, tuple((_X86_64 | _BOTH).items()), 56, 16, 41, 135, foreign_numbers_from=0x40000000),
    "aarch64": Architecture(0xC00000B7, tuple((_AARCH64 | _BOTH).items()), 220, 29, 198, 92),
}

Instruction = tuple[int, int, int, int]
"""code, jump if true, jump if false, constant."""


def error(number: int) -> int:
    """The filter's answer that makes the call fail with that errno."""
    return _ERROR | number


def _return(value: int) -> Instruction:
    return (_RETURN, 0, 0, value)


def _when_number(number: int, body: list[Instruction]) -> list[Instruction]:
    """*body*, which must end in a return, for one system call."""
    return [(_EQUAL, 0, len(body), number), *body]


def _only(argument: int, allowed: tuple[int, ...], otherwise: int) -> list[Instruction]:
    """Allow the listed values of an argument; *otherwise* for every other."""
    checks = [(_EQUAL, len(allowed) - place, 0, value) for place, value in enumerate(allowed)]
    return [(_LOAD, 0, 0, argument), *checks, _return(otherwise), _return(ALLOW)]


def _none_of(argument: int, refused: tuple[int, ...]) -> list[Instruction]:
    checks = [(_EQUAL, len(refused) - place, 0, value) for place, value in enumerate(refused)]
    return [(_LOAD, 0, 0, argument), *checks, _return(ALLOW), _return(error(errno.EPERM))]


def instructions(architecture: Architecture) -> list[Instruction]:
    """The whole filter for one architecture; calls of any other kill the process."""
    program: list[Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture.audit),
        _return(KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if architecture.foreign_numbers_from:
        program += [(_AT_LEAST, 0, 1, architecture.foreign_numbers_from), _return(KILL)]
    namespaces = [(_LOAD, 0, 0, _FIRST_ARGUMENT), (_ANY_BIT, 1, 0, NEW_NAMESPACES), _return(ALLOW), _return(error(errno.EPERM))]
    program += _when_number(architecture.clone, namespaces)
    program += _when_number(architecture.socket, _only(_FIRST_ARGUMENT, SOCKET_FAMILIES, error(errno.EAFNOSUPPORT)))
    program += _when_number(architecture.ioctl, _none_of(_SECOND_ARGUMENT, TERMINAL_INJECTION))
    program += _when_number(architecture.personality, _only(_FIRST_ARGUMENT, PERSONALITIES, error(errno.EPERM)))
    # clone3 hides its flags behind a pointer; ENOSYS makes the C library use clone.
    program += _when_number(architecture.clone3, [_return(error(errno.ENOSYS))])
    for _, number in sorted(architecture.denied, key=lambda entry: entry[1]):
        program += _when_number(number, [_return(error(errno.EPERM))])
    return [*program, _return(ALLOW)]


def assemble(program: list[Instruction]) -> bytes:
    """As an array of struct sock_filter."""
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)


def filter_for(machine: str = "") -> bytes | None:
    """The filter for *machine* (default: this one) as bubblewrap's --seccomp takes it; None when it is not known here."""
    architecture = ARCHITECTURES.get(machine or platform.machine())
    return None if architecture is None else assemble(instructions(architecture))
