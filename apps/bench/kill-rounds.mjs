import { spawn } from 'node:child_process';
import { mkdirSync, openSync, rmSync } from 'node:fs';
import { chromium } from 'playwright-core';

const [rounds, steps, workersCount] = [Number(process.argv[2] ?? 20), Number(process.argv[3] ?? 4000), 24];
const L = '/work/wt/lead/scripts/lockstep.mjs';
const dir = '/tmp/kill';
rmSync(dir, { recursive: true, force: true });
mkdirSync(dir);
const bin = {
  coordinator: 'apps/coordinator/dist/main.js',
  worker: 'apps/worker/dist/main.js',
  relay: 'apps/relay/dist/main.js',
};
const procs = new Map();
function start(name, cmd, args) {
  const log = openSync(`${dir}/${name}.log`, 'a');
  const child = spawn(cmd, args, { stdio: ['ignore', log, log], cwd: '/work/wt/lead' });
  procs.set(name, child);
  child.on('exit', (code, sig) => {
    if (procs.get(name) === child) procs.delete(name);
    child.gone = `${code} ${sig}`;
  });
  return child;
}
const node = (name, program, args) =>
  start(name, process.execPath, ['--no-incremental-marking', `/work/wt/lead/${bin[program]}`, ...args]);
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));
const natsPorts = [4421, 4422, 4423];
function nats(i) {
  return start(`nats${i}`, 'nats-server', [
    '-a',
    '127.0.0.1',
    '-p',
    `${natsPorts[i]}`,
    '--cluster',
    `nats://127.0.0.1:${6421 + i}`,
    '--cluster_name',
    'k',
    '--routes',
    [0, 1, 2]
      .filter((j) => j !== i)
      .map((j) => `nats://127.0.0.1:${6421 + j}`)
      .join(','),
    '-js',
    '-sd',
    `${dir}/n${i}`,
    '--server_name',
    `n${i}`,
    '-m',
    `${8421 + i}`,
  ]);
}
const fleet = natsPorts.map((p) => `nats://127.0.0.1:${p}`).join(',');
const model = ['--steps', `${steps}`, '--epochs', '1000', '--batch', '1536', '--microbatch', '16', '--seed', '1'];
const coordinator = (name, port) =>
  node(name, 'coordinator', [
    'coordinator',
    '--fleet',
    fleet,
    '--run',
    'kill',
    '--standby',
    '--workers',
    '0',
    '--expect',
    '24',
    '--port',
    `${port}`,
    '--checkpoint-every',
    '50',
    '--report',
    `${dir}/${name}.json`,
    ...model,
  ]);
const relay = (i) =>
  node(`relay${i}`, 'relay', [
    '--fleet',
    fleet,
    '--run',
    'kill',
    '--port',
    `${7510 + i}`,
    '--name',
    `relay${i}`,
    '--wait',
  ]);
const worker = (i) => node(`w${i}`, 'worker', ['--fleet', fleet, '--run', 'kill', '--name', `w${i}`, '--wait']);
async function metrics(port) {
  try {
    const r = await fetch(`http://127.0.0.1:${port}/metrics`, { signal: AbortSignal.timeout(1000) });
    const t = await r.text();
    const m = /^lockstep_step (\d+)/m.exec(t);
    return m ? Number(m[1]) : undefined;
  } catch {
    return undefined;
  }
}
const coordPorts = { A: 7501, B: 7502 };
async function leader() {
  for (const n of ['A', 'B']) {
    const s = await metrics(coordPorts[n]);
    if (s !== undefined) return { n, s };
  }
  return undefined;
}
async function natsLeader() {
  for (let i = 0; i < 3; i++) {
    try {
      const r = await fetch(`http://127.0.0.1:${8421 + i}/jsz?acc=$G&streams=1&config=1`);
      const j = await r.json();
      for (const a of j.account_details ?? [])
        for (const s of a.stream_detail ?? []) if (s.name === 'KV_lockstep') return Number(s.cluster.leader.slice(1));
    } catch {}
  }
  return 0;
}
process.on('exit', () => {
  for (const c of procs.values()) c.kill('SIGKILL');
});
for (let i = 0; i < 3; i++) nats(i);
await sleep(6000);
coordinator('A', 7501);
await sleep(4000);
coordinator('B', 7502);
await sleep(1500);
for (let i = 0; i < 4; i++) relay(i);
await sleep(4000);
for (let i = 0; i < workersCount; i++) {
  worker(i);
  await sleep(150);
}
const browser = await chromium.launch({
  executablePath: '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-quic'],
});
const page = await browser.newPage();
await page.goto('http://127.0.0.1:7510/#join');
await page
  .getByRole('button', { name: /join/i })
  .first()
  .click()
  .catch((e) => console.log('tab', String(e).slice(0, 100)));
for (let t = 0; t < 240; t++) {
  const l = await leader();
  if (l && l.s > 5) break;
  await sleep(250);
}
console.log('running', JSON.stringify(await leader()));
const kinds = ['coordinator', 'relay', 'nats', 'workers'];
const times = {};
for (let round = 0; round < rounds; round++) {
  const kind = kinds[round % 4];
  const before = await leader();
  if (!before) {
    console.log('no leader');
    break;
  }
  const t0 = performance.now();
  let killed = [];
  if (kind === 'coordinator') {
    killed = [before.n];
  } else if (kind === 'relay') killed = [`relay${(round >> 2) % 4}`];
  else if (kind === 'nats') killed = [`nats${await natsLeader()}`];
  else killed = [...procs.keys()].filter((n) => /^w\d/.test(n)).filter((_, i) => i % 2 === round % 2);
  for (const n of killed) procs.get(n)?.kill('SIGKILL');
  const base = kind === 'coordinator' ? 0 : ((await leader())?.s ?? before.s);
  let next;
  let now;
  for (let t = 0; t < 1200; t++) {
    const l = await leader();
    if (
      l &&
      (kind === 'coordinator' ? l.n !== before.n && l.s > 0 && (now ??= l.s) !== undefined && l.s > now : l.s > base)
    ) {
      next = performance.now() - t0;
      now = l;
      break;
    }
    await sleep(40);
  }
  (times[kind] ??= []).push(next);
  console.log(
    `round ${round + 1} ${kind} ${killed.slice(0, 3)}${killed.length > 3 ? '…' + killed.length : ''}: next step after ${Math.round(next ?? -1)} ms, at ${JSON.stringify(now)} (before ${before.s})`,
  );
  await sleep(2500);
  for (const n of killed) {
    if (n === 'A' || n === 'B') coordinator(n, coordPorts[n]);
    else if (n.startsWith('relay')) relay(Number(n.slice(5)));
    else if (n.startsWith('nats')) nats(Number(n.slice(4)));
    else worker(Number(n.slice(1)));
  }
  await sleep(kind === 'nats' ? 7000 : 4000);
}
for (const [k, v] of Object.entries(times)) {
  const s = v.filter((x) => x).sort((a, b) => a - b);
  console.log(k, 'median', Math.round(s[s.length >> 1]), 'max', Math.round(s.at(-1)), 'n', s.length);
}
console.log(
  'workers',
  JSON.stringify(
    await (await fetch('http://127.0.0.1:7501/healthz').catch(() => fetch('http://127.0.0.1:7502/healthz'))).json(),
  ),
);
for (let t = 0; t < 600; t++) {
  const l = await leader();
  if (!l) break;
  if (t % 20 === 0) console.log('step', l.n, l.s);
  await sleep(1000);
}
await browser.close();
console.log('done', [...procs.keys()].join(' '));
process.exit(0);
