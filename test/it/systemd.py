"""systemd.py hear NAME FILE             - writes each datagram to NAME (a path, or @name) as a line of FILE
systemd.py pass NAMES FILE COMMAND...  - becomes COMMAND, with a listening socket per name of NAMES
                                         (comma-separated, NAME or NAME=PORT or NAME:udp) from 3 on; their
                                         ports go to FILE
"""
import os
import socket
import sys


def hear(name, path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind("\0" + name[1:] if name[0] == "@" else name)
    with open(path, "w", encoding="utf-8", buffering=1) as out:
        out.write("bound\n")
        while True:
            out.write("|".join(s.recv(65536).decode().rstrip("\n").split("\n")) + "\n")


def give(names, path, command):
    sockets = []
    for name in names.split(","):
        port = int(name.partition("=")[2] or 0)
        if name.endswith(":udp"):
            s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            s.bind(("127.0.0.1", port))
        else:
            s = socket.create_server(("127.0.0.1", port))
        sockets.append(s)
    with open(path, "w", encoding="utf-8") as out:
        print(*[s.getsockname()[1] for s in sockets], file=out)
    high = [os.dup2(s.fileno(), 100 + i, inheritable=False) for i, s in enumerate(sockets)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i)
    env = dict(os.environ, LISTEN_PID=os.environ.get("LISTEN_PID", str(os.getpid())),
               LISTEN_FDS=str(len(high)))
    if "LISTEN_FDNAMES" not in env:
        env["LISTEN_FDNAMES"] = ":".join(n.partition("=")[0].partition(":")[0] for n in names.split(","))
    os.execvpe(command[0], command, env)


if sys.argv[1] == "hear":
    hear(sys.argv[2], sys.argv[3])
else:
    give(sys.argv[2], sys.argv[3], sys.argv[4:])
