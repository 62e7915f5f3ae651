"""asyncpg's pool: MODE TASKS POOL SECONDS, as opi-bench pool."""
import asyncio
import json
import os
import sys
import time

import asyncpg

SQL = "SELECT id, name, payload FROM item WHERE id = $1"


class Load:
    def __init__(self, mode, tasks, seconds):
        self.mode, self.tasks, self.seconds = mode, tasks, seconds
        self.measuring = self.stopped = False
        self.count, self.waits, self.random = 0, [], 1

    def next_id(self):
        self.random = (self.random * 1664525 + 1013904223) & 0xFFFFFFFF
        return (self.random >> 8) % 10000 + 1


async def task(pool, load):
    clock = time.perf_counter
    while not load.stopped:
        asked = clock()
        async with pool.acquire() as connection:
            if load.measuring:
                load.waits.append(clock() - asked)
            if load.mode == "query":
                row = await connection.fetchrow(SQL, load.next_id())
                _ = row["id"], row["name"], row["payload"]
            elif load.tasks > 1:
                await asyncio.sleep(0)
        load.count += 1


def resident_mb():
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


async def main(mode, tasks, size, seconds):
    load = Load(mode, tasks, seconds)
    begun = time.perf_counter()
    pool = await asyncpg.create_pool(min_size=size, max_size=size, statement_cache_size=100)
    startup = time.perf_counter() - begun
    running = [asyncio.create_task(task(pool, load)) for _ in range(tasks)]
    await asyncio.sleep(min(seconds / 4, 0.5))
    load.measuring, before, cpu, start = True, load.count, time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    ops, cpu, wall = load.count - before, time.process_time() - cpu, time.perf_counter() - start
    load.measuring, load.stopped, resident = False, True, resident_mb()
    await asyncio.gather(*running)
    closing = time.perf_counter()
    await pool.close()
    closing = time.perf_counter() - closing
    waits = sorted(load.waits)

    def at(share):
        return waits[int(share * (len(waits) - 1))] * 1e6

    print(json.dumps({
        "peer": "asyncpg", "mode": mode, "tasks": tasks, "pool": size, "ops_s": ops / wall, "us_op": wall / ops * 1e6,
        "cpu_us_op": cpu / ops * 1e6, "wait_mean_us": sum(waits) / len(waits) * 1e6, "wait_p50_us": at(0.5),
        "wait_p99_us": at(0.99), "wait_p999_us": at(0.999), "startup_ms": startup * 1e3, "close_ms": closing * 1e3,
        "rss_mb": resident}))


asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])))
