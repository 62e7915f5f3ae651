// node-postgres with its pool: MODE TASKS POOL SECONDS, as opi-bench pool.
'use strict';
const fs = require('fs');
const { Pool } = require('pg');

const [mode, tasks, size, seconds] = [process.argv[2], ...process.argv.slice(3).map(Number)];
const item = { name: 'item', text: 'SELECT id, name, payload FROM item WHERE id = $1' };
const clock = () => Number(process.hrtime.bigint()) / 1e3;
const load = { count: 0, waits: [], measuring: false, stopped: false, random: 1 };
const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const cpu = () => { const usage = process.cpuUsage(); return usage.user + usage.system; };

async function task(pool) {
  for (let round = 0; !load.stopped; round++) {
    const timed = mode === 'query' || round % 64 === 0;
    const asked = timed ? clock() : 0;
    const client = await pool.connect();
    if (timed && load.measuring) load.waits.push(clock() - asked);
    if (mode === 'query') {
      load.random = (Math.imul(load.random, 1664525) + 1013904223) >>> 0;
      const { rows } = await client.query({ ...item, values: [(load.random >>> 8) % 10000 + 1] });
      if (rows[0].payload.length !== 100) throw new Error('another row');
    } else if (tasks > 1 || round % 1024 === 0) {
      await new Promise(setImmediate);
    }
    client.release();
    load.count++;
  }
}

async function main() {
  const begun = clock();
  const pool = new Pool({ max: size, min: size });
  const clients = await Promise.all(Array.from({ length: size }, () => pool.connect()));
  const startup = clock() - begun;
  for (const client of clients) client.release();
  const running = Array.from({ length: tasks }, () => task(pool));
  await sleep(Math.min(seconds / 4, 0.5) * 1e3);
  load.measuring = true;
  const [before, used, start] = [load.count, cpu(), clock()];
  await sleep(seconds * 1e3);
  const [ops, spent, wall] = [load.count - before, cpu() - used, clock() - start];
  load.measuring = false;
  load.stopped = true;
  const resident = Number(fs.readFileSync('/proc/self/statm', 'ascii').split(' ')[1]) * 4096 / 1e6;
  await Promise.all(running);
  const closing = clock();
  await pool.end();
  const waits = load.waits.sort((a, b) => a - b);
  const at = (share) => waits[Math.floor(share * (waits.length - 1))];
  console.log(JSON.stringify({
    peer: 'node-postgres', mode, tasks, pool: size, ops_s: ops / wall * 1e6, us_op: wall / ops, cpu_us_op: spent / ops,
    wait_mean_us: waits.reduce((a, b) => a + b, 0) / waits.length, wait_p50_us: at(0.5), wait_p99_us: at(0.99),
    wait_p999_us: at(0.999), startup_ms: startup / 1e3, close_ms: (clock() - closing) / 1e3, rss_mb: resident,
  }));
}

main().catch((error) => { console.error(error); process.exit(1); });
