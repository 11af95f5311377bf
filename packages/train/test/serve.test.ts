/** A run on the caller's HTTP server, which keeps answering its own requests. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join as joinRun } from '@lockstep/worker';
import express from 'express';
import { describe, expect, it, onTestFinished } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { openViewer } from '../../server/test/test-viewer.ts';
import { serve, type TrainingRun } from '../src/index.ts';
import { hashAlone, tiny } from './open-run.ts';

/** Serves a run on the caller's server. */
async function opened(server: Server, stay = false) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const before = server.listeners('request');
  const run: TrainingRun = serve(server, { ...tiny, listen: { path: '/lockstep', stay } });
  onTestFinished(async () => {
    await run[Symbol.asyncDispose]();
    server.closeAllConnections();
    server.close();
  });
  const { open, worker } = await run.addresses;
  return { server, run, open, worker, before, at: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

const textOf = async (url: string): Promise<string> =>
  `${(await fetch(url).then((response) => response.text())).trim()}`;

const plain = (): Server =>
  createServer((request, response) => {
    response.end(`the caller's ${request.url}`);
  });

const withExpress = (): Server => {
  const app = express();
  app.use((request, response) => {
    response.send(`the caller's ${request.url}`);
  });
  return createServer(app);
};

describe.each([
  ['a plain server', plain],
  ['a server with Express', withExpress],
])('a run on %s', (_name, create) => {
  it('is joined and watched below its path, gives the weights of one process, and lets the rest go on', async () => {
    const { at, run, open, worker: url } = await opened(create(), true);
    expect(open).toEqual([`http://${at}/lockstep/`, `ws://${at}/lockstep`]);
    expect(JSON.parse(await textOf(`http://${at}/lockstep/healthz`))).toMatchObject({ status: 'ok', phase: 'waiting' });
    expect(await textOf(`http://${at}/lockstep/metrics`)).toContain('lockstep_steps 18');
    expect((await fetch(`http://${at}/lockstep`, { redirect: 'manual' })).headers.get('location')).toBe('/lockstep/');
    for (const path of ['/', '/healthz', '/lockstepping', '/lockstep/unknown?a=1']) {
      const response = await fetch(`http://${at}${path}`);
      expect(await response.text()).toBe(`the caller's ${path}`);
      expect(response.headers.get('content-security-policy')).toBeNull();
    }
    const posted = await fetch(`http://${at}/lockstep/form`, { method: 'POST', body: 'x' });
    expect(await posted.text()).toBe("the caller's /lockstep/form");
    const worker = joinRun(url, { name: 'guest', backend: 'cpu' });
    const { report } = await run.result;
    // Another run may follow on a server that stays.
    await worker.leave();
    expect(report.workers).toMatchObject([{ name: 'guest', kind: 'node' }]);
    expect(report.weightsSha256).toBe(await hashAlone(tiny));
    const viewer = await openViewer(`ws://${at}/lockstep`, { origin: `http://${at}` });
    expect(await viewer.next('progress')).toMatchObject({ phase: 'finished', step: 18 });
    viewer.socket.terminate();
  });

  it('gives the server back as it was', async () => {
    const server = create();
    const { at, run, before } = await opened(server);
    await run.stop();
    expect(server.listeners('request')).toEqual(before);
    expect(server.listeners('upgrade')).toEqual([]);
    expect(await textOf(`http://${at}/lockstep/healthz`)).toBe("the caller's /lockstep/healthz");
  });
});

it('a run leaves sockets of the caller to the caller', async () => {
  const server = plain();
  const echo = new WebSocketServer({ server, path: '/echo' });
  echo.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
  const { at } = await opened(server);
  const socket = new WebSocket(`ws://${at}/echo`);
  await once(socket, 'open');
  socket.send('hello');
  const [data] = await once(socket, 'message');
  expect(String(data)).toBe('hello');
  socket.terminate();
});

it('a run turns away sockets that nothing takes', async () => {
  const { at } = await opened(plain());
  const socket = new WebSocket(`ws://${at}/elsewhere`);
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  expect(response.statusCode).toBe(404);
});

it('runs on one server end in any order, and the others stay joined and watched', async () => {
  const { at, server, run: first } = await opened(plain());
  const second: TrainingRun = serve(server, { ...tiny, listen: { path: '/second' } });
  onTestFinished(() => second[Symbol.asyncDispose]());
  const { worker: url } = await second.addresses;
  await first.stop();
  const worker = joinRun(url, { name: 'guest', backend: 'cpu' });
  expect((await second.result).report.weightsSha256).toBe(await hashAlone(tiny));
  await worker.leave();
  expect(await textOf(`http://${at}/lockstep/`)).toBe("the caller's /lockstep/");
  expect(await textOf(`http://${at}/second/`)).toBe("the caller's /second/");
});

it('a second run on a server turns away sockets that nothing takes', async () => {
  const { at, server } = await opened(plain());
  const second: TrainingRun = serve(server, { ...tiny, listen: { path: '/second' } });
  onTestFinished(() => second[Symbol.asyncDispose]());
  await second.addresses;
  const socket = new WebSocket(`ws://${at}/elsewhere`);
  socket.on('error', () => {});
  const [, response] = await once(socket, 'unexpected-response');
  expect(response.statusCode).toBe(404);
});

it('a path that another run has is refused until that run has ended', async () => {
  const { at, server, run } = await opened(plain());
  const again = (): TrainingRun => serve(server, { ...tiny, listen: { path: '/lockstep' } });
  await expect(again().result).rejects.toMatchObject({
    name: 'ConfigurationError',
    message: 'listen.path: expected a path that no other run on the server has, got /lockstep',
  });
  await run.stop();
  const next = again();
  onTestFinished(() => next[Symbol.asyncDispose]());
  expect((await next.addresses).worker).toBe(`ws://${at}/lockstep`);
});

it('a server that does not listen yet is refused', async () => {
  await expect(serve(plain(), tiny).result).rejects.toMatchObject({
    name: 'ConfigurationError',
    message: 'listen.server: expected a server that listens on a port, got one that does not listen yet',
  });
});
