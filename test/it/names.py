"""names.py - model servers, one port for each case, that take name[] of GET /metrics in their own way,
for names.sh. Prints `CASE PORT` for each, then `ready`; what was asked goes to the file named on the
command line as `CASE CONNECTION NAMES TARGET`, NAMES being how many there were.

GET /set/KEY/VALUE changes one of them: what it does with names (does), how many requests wait
(waiting), a family that is not there any more (drops; from named pages alone: hides), adapters that
run (lora). GET /restart/SECONDS is another process: all connections end, none is taken for so long."""
import asyncio
import socket
import struct
import sys
from urllib.parse import parse_qs, urlsplit

FILLER = "".join(f"filler_bucket{{model_name=\"m\",le=\"{i}\"}} {i}.0\n" for i in range(300))
# What they do at the beginning; the number says how many requests wait there.
CASES = {"honours": 11, "ignores": 12, "empty": 13, "status": 14, "no-content": 15, "resets": 16, "silent": 17,
         "cuts": 18, "html": 19, "drops": 20, "loses": 21, "empties": 22, "breaks": 23, "old-kv": 24, "query": 25,
         "learns": 26, "leaves": 27}
DOES = {**dict.fromkeys(("drops", "loses", "empties", "breaks", "old-kv", "query", "leaves"), "honours"),
        "learns": "ignores"}


def answer(body, status="200 OK"):
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Server:
    def __init__(self, case, log):
        self.case, self.log, self.connections, self.writers, self.port = case, log, 0, set(), 0
        self.now = {"does": DOES.get(case, case), "waiting": CASES[case], "drops": "", "lora": "",
                    "hides": "vllm:kv_cache_usage_perc" if case == "drops" else ""}

    def page(self, names):
        kv = "vllm:gpu_cache_usage_perc" if self.case == "old-kv" else "vllm:kv_cache_usage_perc"
        rows = {"vllm:num_requests_running": "{engine=\"0\"} 2.0", "vllm:num_requests_waiting": f" {self.now['waiting']}.0",
                kv: " 0.25", "vllm:cache_config_info": "{block_size=\"16\",num_gpu_blocks=\"500\"} 1.0"}
        if self.now["lora"]:
            rows["vllm:lora_requests_info"] = (f"{{max_lora=\"4\",running_lora_adapters=\"{self.now['lora']}\","
                                               "waiting_lora_adapters=\"\"} 1.7e9")
        gone = {self.now["drops"]} | ({self.now["hides"]} if names else set())
        lines = [f + row for f, row in rows.items() if f not in gone and (not names or f in names)]
        return "".join(line + "\n" for line in lines) + ("" if names else FILLER)

    def reply(self, names):
        """What is sent; None: the connection is reset."""
        does = self.now["does"] if names else "ignores"
        whole = self.page(names if does == "honours" else [])
        return {"empty": answer(""), "status": answer("no", "400 Bad Request"), "resets": None, "silent": b"",
                "no-content": b"HTTP/1.1 204 No Content\r\n\r\n", "html": answer("<html>\n"),
                "cuts": answer(whole)[:2000]}.get(does, answer(whole))

    async def control(self, path, writer):
        verb, key, *value = path[1:].split("/")
        if verb == "set":
            self.now[key] = value[0]
        writer.write(answer("set\n"))
        await writer.drain()
        if verb == "restart":
            self.server.close()
            for w in self.writers:
                w.transport.abort()
            await asyncio.sleep(float(key))
            await self.listen()

    async def one(self, head, number, writer):
        """False: the connection ends."""
        target = head.decode("latin-1").split(" ")[1]
        url = urlsplit(target)
        if url.path != "/metrics":
            await self.control(url.path, writer)
            return False
        names = parse_qs(url.query).get("name[]", [])
        self.log.write(f"{self.case} {number} {len(names)} {target}\n")
        self.log.flush()
        reply = self.reply(names)
        if reply is None:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            writer.write(reply)
            await writer.drain()
        return reply is not None and not (names and self.now["does"] == "cuts")

    async def serve(self, reader, writer):
        self.connections += 1
        number = self.connections
        self.writers.add(writer)
        try:
            while await self.one(await reader.readuntil(b"\r\n\r\n"), number, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        self.writers.discard(writer)
        writer.close()

    async def listen(self):
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]


async def main():
    log = open(sys.argv[1], "a", encoding="latin-1")
    for case in CASES:
        server = Server(case, log)
        await server.listen()
        print(case, server.port, flush=True)
    print("ready", flush=True)
    await asyncio.Event().wait()


asyncio.run(main())
