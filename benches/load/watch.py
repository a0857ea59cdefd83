"""What is seen of a program from outside: its processes' cost, and its connections to a server on this machine."""

import ctypes
import os
import re
import signal
import socket
import struct
import time

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# linux/sock_diag.h, linux/inet_diag.h, net/tcp_states.h.
NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
INET_DIAG_INFO = 2
INET_DIAG_MSG = 72
TCP_ESTABLISHED = 1
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST_DUMP = 0x301
# Of struct tcp_info, tcpi_data_segs_in.
DATA_SEGMENTS_IN = 152

libc = ctypes.CDLL(None, use_errno=True)


def adopt_orphans():
    """Whatever a child leaves behind becomes this process's own child, and so is found and ended."""
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_with_parent():
    """In a child, before its program starts: it doesn't outlive this process, even where that is killed."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def stat(process):
    """The fields of proc_pid_stat(5) after the name, which may contain anything; none where it has ended."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b") ")[2].split()
    except OSError:
        return None


def descendants(but=()):
    """All processes below this one, without those named and what is below them."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := stat(name)):
            children.setdefault(int(fields[1]), []).append((int(name), fields[0] == b"Z"))
    found, next_ones = [], [os.getpid()]
    while next_ones:
        for process, ended in children.get(next_ones.pop(), []):
            if process not in but and not ended:
                found.append(process)
                next_ones.append(process)
    return found


def cost(processes):
    """Seconds of processor time in user and system mode, and resident bytes, of all together."""
    processor, resident = 0.0, 0
    for process in processes:
        fields = stat(process)
        if not fields:
            continue
        resident += int(fields[21]) * PAGE
        # Children that ended and were waited for.
        processor += (int(fields[13]) + int(fields[14])) / TICKS
        try:
            # The process's own clock (clock_getcpuclockid(3)), finer than the ticks of /proc.
            processor += time.clock_gettime((~process << 3) | 2)
        except OSError:
            processor += (int(fields[11]) + int(fields[12])) / TICKS
    return processor, resident


def established(port):
    """How many connections the server has on this port, as /proc/net/tcp has them."""
    with open("/proc/net/tcp", "rb") as file:
        # The kernel writes it in pieces, and a connection may be in two where others come in between.
        return len(set(re.findall(rb": \w{8}:%04X (\w{8}:\w{4}) 01 " % port, file.read())))


def received(port):
    """Of each of these connections, by the client's end: segments with data that came to the server (sock_diag(7)).
    A text that is typed is one. None where the kernel doesn't tell."""
    request = struct.pack(
        "=BBBBI", socket.AF_INET, socket.IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0, 1 << TCP_ESTABLISHED
    )
    request += struct.pack(">HH", port, 0) + bytes(44)
    header = struct.pack("=IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
    segments = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as diag:
            diag.send(header + request)
            while True:
                answer = diag.recv(1 << 20)
                at = 0
                while at < len(answer):
                    length, kind = struct.unpack_from("=IH", answer, at)
                    if kind == NLMSG_DONE:
                        return segments
                    if kind == NLMSG_ERROR:
                        return None
                    ours, port_there = struct.unpack_from(">HH", answer, at + 20)
                    theirs = (answer[at + 40 : at + 44], port_there)
                    count = data_segments(answer, at + 16 + INET_DIAG_MSG, at + length)
                    if ours == port and count is not None:
                        segments[theirs] = count
                    at += (length + 3) & ~3
    except OSError:
        return None


def data_segments(answer, at, end):
    """From the attributes of a connection."""
    while at + 4 <= end:
        length, kind = struct.unpack_from("=HH", answer, at)
        if kind == INET_DIAG_INFO and length >= 4 + DATA_SEGMENTS_IN + 4:
            return struct.unpack_from("=I", answer, at + 4 + DATA_SEGMENTS_IN)[0]
        at += max((length + 3) & ~3, 4)
    return None


def end(processes, patience=5.0):
    """Ends these, by SIGTERM and where that isn't enough by SIGKILL."""
    for sent in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            try:
                os.kill(process, sent)
            except ProcessLookupError:
                pass
        limit = time.monotonic() + patience
        while time.monotonic() < limit:
            processes = [process for process in processes if runs(process)]
            if not processes:
                return
            time.sleep(0.05)


def runs(process):
    fields = stat(process)
    return bool(fields) and fields[0] != b"Z"
