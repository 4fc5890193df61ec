"""pages.py - metrics pages as odd servers give them, one port for each case, for scrape_pages.sh.
Prints `CASE PORT` for each, then `ready`; what was asked goes to the file named on the command
line as `CASE CONNECTION HEAD`, the head's lines joined by |."""
import asyncio
import gzip
import sys

PAGE = b"vllm:num_requests_waiting 3\nvllm:num_requests_running 2\nvllm:kv_cache_usage_perc 0.25\n"
TRITON = (b'nv_trt_llm_request_metrics{model="m",request_type="waiting",version="1"} 3\n'
          b'nv_trt_llm_request_metrics{model="m",request_type="scheduled",version="1"} 9\n')


def answer(body, status="200 OK", *fields):
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


def chunked(body):
    pieces = [body[i:i + 7] for i in range(0, len(body), 7)] + [b""]
    return (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            + b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces))


# What is sent, and whether the connection is closed behind it.
CASES = {
    "plain": (answer(PAGE), False),
    "chunked": (chunked(PAGE), False),
    "until-close": (b"HTTP/1.1 200 OK\r\n\r\n" + PAGE, True),
    "http10": (b"HTTP/1.0 200 OK\r\n\r\n" + PAGE, True),
    "no-last-lf": (answer(PAGE[:-1]), False),
    "crlf": (answer(PAGE.replace(b"\n", b"\r\n")), False),
    "bad-lines": (answer(b"{}\nvllm:num_requests_waiting{x=\"1\" 9\n" + PAGE), False),
    "triton": (answer(TRITON), False),
    "cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n" + PAGE, True),
    "no-content": (b"HTTP/1.1 204 No Content\r\n\r\n", False),
    "redirect": (answer(PAGE, "302 Found", "Location: http://127.0.0.1:1/"), False),
    "error": (answer(PAGE, "500 Oops"), False),
    "gzip": (answer(gzip.compress(PAGE), "200 OK", "Content-Encoding: gzip"), False),
    "large": (answer(PAGE + b"#" * (5 << 20)), False),
    "odd": (answer(b"vllm:num_requests_waiting NaN\nvllm:num_requests_running 2\nvllm:kv_cache_usage_perc -7\n"),
            False),
    "html": (answer(b"<html>\n<h1>proxy</h1>\n</html>\n"), False),
    "json": (answer(b"{}"), False),
    "empty": (answer(b""), False),
    "silent": (b"", False),
    "not-http": (b"SSH-2.0-x\r\n", True),
}


async def serve(case, log, reader, writer, number):
    reply, close = CASES[case]
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            text = head.decode("latin-1").strip().replace("\r\n", "|")
            log.write(f"{case} {number} {text}\n")
            log.flush()
            writer.write(reply)
            await writer.drain()
            if close:
                break
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    writer.close()


async def main():
    log = open(sys.argv[1], "a", encoding="latin-1")
    servers = []
    for case in CASES:
        count = iter(range(1, 1 << 30))

        async def on_connection(r, w, case=case, count=count):
            await serve(case, log, r, w, next(count))

        server = await asyncio.start_server(on_connection, "127.0.0.1", 0)
        servers.append(server)
        print(case, server.sockets[0].getsockname()[1], flush=True)
    print("ready", flush=True)
    await asyncio.gather(*(s.serve_forever() for s in servers))


asyncio.run(main())
