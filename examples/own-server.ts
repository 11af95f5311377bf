/** Adds a run to an HTTP server that has its own pages. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serve } from '@lockstep/train';
import { join } from '@lockstep/worker';

const server = createServer((request, response) => response.end(`my own page at ${request.url}`));
server.listen(0, '127.0.0.1'); // port 0: any free port
await once(server, 'listening');
const here = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

// The run's page, sockets, /healthz and /metrics are below its path; the server handles everything else as before.
const run = serve(server, { data: 'docs/iris.csv', epochs: 20, listen: { path: '/lockstep', stay: true } });
const { worker: url } = await run.addresses;
const worker = join(url, { name: 'guest' }); // here, or on any other machine
const { report } = await run.result;
console.log(`${report.steps} steps by ${report.workers.map(({ name }) => name).join(', ')}`);

console.log(await (await fetch(`${here}/about`)).text());
console.log(await (await fetch(`${here}/lockstep/healthz`)).text());
await run[Symbol.asyncDispose]();
await worker.done; // only now: a server that stays may start another run, for which it would wait
server.close();
server.closeAllConnections();
