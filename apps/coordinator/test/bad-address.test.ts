import { createServer as createHttpServer, type Server, type ServerResponse } from 'node:http';
import { encode, protocolVersion, subprotocol } from '@lockstep/protocol';
import { afterEach, describe, expect, it } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { hello, openRawClient } from '../../../packages/server/test/raw-client.ts';
import { temporaryFolder } from '../../../packages/train/test/folder.ts';
import { freePort } from '../../../packages/train/test/free-port.ts';
import { tinyArgs } from '../../../packages/train/test/tiny-data.ts';
import { argumentsIn, canListProcesses, expectRefused, startCoordinator, startWorker } from './processes.ts';

const folder = temporaryFolder();
const coordinatorArgs = [...(await tinyArgs(folder)), '--port', '0'];

const opened: { close(): unknown }[] = [];

afterEach(() => {
  for (const server of opened.splice(0)) server.close();
});

async function listening<Opened extends Server | WebSocketServer>(server: Opened): Promise<number> {
  opened.push(server);
  await new Promise<void>((resolve) => server.once('listening', resolve));
  return (server.address() as { port: number }).port;
}

async function webSocketServer(onConnection: (socket: WebSocket) => void, speaks: string[]): Promise<number> {
  const server = new WebSocketServer({
    host: '127.0.0.1',
    port: 0,
    handleProtocols: (offered) => speaks.find((name) => offered.has(name)) ?? false,
  });
  server.on('connection', onConnection);
  return listening(server);
}

const httpServer = (answer: (response: ServerResponse) => unknown): Promise<number> =>
  listening(createHttpServer((_request, response) => void answer(response)).listen(0, '127.0.0.1'));

function refuse(socket: WebSocket): void {
  socket.once('message', () => {
    socket.send(encode({ type: 'refuse', code: 'protocol', message: 'this coordinator speaks version 2' }));
    socket.close(1008, 'protocol');
  });
}

async function coordinator(args: readonly string[] = []): Promise<string> {
  const program = startCoordinator('coordinator', [...coordinatorArgs, ...args]);
  const match = await program.printed(/--url '?ws:\/\/127\.0\.0\.1:(\d+)/);
  return `ws://127.0.0.1:${match[1]}`;
}

const expectFailure = (
  args: readonly string[],
  message: RegExp,
  env?: Readonly<Record<string, string>>,
): Promise<void> => expectRefused('worker', args, message, env && { env });

describe('a worker that cannot start says why in one line, exit code 2:', () => {
  it.each<[line: string | string[], message: RegExp]>([
    ['--fleet nats://a --url ws://127.0.0.1:1', /--url: cannot be combined with --fleet, which finds the coordinator/],
    ['--url ws://127.0.0.1:1 --run x', /--run: requires --fleet URL, because it applies only to a fleet/],
    ['', /--url: expected the address that the coordinator printed, like ws:\/\/127\.0\.0\.1:7070/],
    ['--url localhost:7070', /--url: expected an address like ws:\/\/127\.0\.0\.1:7070, got localhost:7070/],
    ['--url ftp://localhost:7070', /--url: expected an address like ws:.*, got ftp:/],
    ['--url ws://127.0.0.1:99999', /--url: expected an address like ws:.*, got ws:\/\/127\.0\.0\.1:99999/],
    [
      '--url ws://127.0.0.1:1 --threads 2 --backend tfjs-node',
      /--threads: expected 1 with --backend tfjs-node.*, got 2/,
    ],
    ['--url ws://127.0.0.1:1 --threads 0', /--threads: expected a whole number from 1 to 256, got 0/],
    [
      ['--url', 'ws://127.0.0.1:1', '--name', 'x'.repeat(81)],
      /--name: expected one line of 1 to 80 printable characters/,
    ],
    [
      ['--url', 'ws://127.0.0.1:1', '--name', '\u001b[31m'],
      /--name: expected one line of 1 to 80 printable characters/,
    ],
    ['--url ws://127.0.0.1:1 --backend abacus', /--backend: expected one of auto, .*, got abacus/],
    ['--url ws://no-such-machine.invalid:7070', /--url ws:.*: (unknown host name|getaddrinfo)/],
  ])('%j', (line, message) => expectFailure(argumentsIn(folder, line), message));

  it('and its process ends', async () => {
    const program = startWorker(['--uri', 'ws://127.0.0.1:1']);
    expect(await program.ended).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringMatching(/^worker: --uri: /),
    });
    if (canListProcesses) expect(program.offspring()).toEqual([]);
  });

  it.each([
    ['coordinator', ['coordinator']],
    ['worker', []],
    ['relay', []],
  ] as const)('but exit code 1 if the NATS servers of a %s do not answer: they may later', async (program, command) => {
    const message = /^\w+: --fleet: the fleet at nats:\/\/127\.0\.0\.1:1 cannot be reached: [^\n]*refused[^\n]*\n$/;
    await expectRefused(program, [...command, '--fleet', 'nats://u:secret@127.0.0.1:1'], message, { code: 1 });
  });

  it('if the address says TLS and the coordinator has none', async () => {
    const url = (await coordinator()).replace('ws:', 'wss:');
    await expectFailure(
      ['--url', url],
      /--url wss:.*: the server does not use TLS: the address .* begins with ws:\/\/$/m,
    );
    await expectFailure(['--url', `${url}/?fingerprint=00`], /: the server does not use TLS: /);
  });

  it('if the coordinator has TLS and the address does not say so', async () => {
    const program = startCoordinator('coordinator', [...coordinatorArgs, '--tls']);
    const [, port] = await program.printed(/--url 'wss:\/\/127\.0\.0\.1:(\d+)/);
    await expectFailure(['--url', `ws://127.0.0.1:${port}`], /uses TLS, the address begins with wss:\/\/$/m);
  });

  it('if nothing listens, also under a parent that keeps a channel to it', async () => {
    const program = startWorker(['--url', `ws://127.0.0.1:${await freePort()}`], { hasChannel: true });
    expect(await program.ended).toMatchObject({ code: 2, stderr: expect.stringContaining('nothing answers there') });
  });

  const sentence = 'expected the page of this coordinator, got another origin';
  it.each<[what: string, port: () => Promise<number>, message: RegExp]>([
    ['nothing that listens', freePort, /--url .*: nothing answers there \(connection refused\)/],
    [
      'a plain HTTP server',
      () => httpServer((response) => response.end('hello')),
      /--url .*: a server answers there, but it is not a Lockstep coordinator \(HTTP 200 OK\); a proxy must forward WebSockets to one$/m,
    ],
    [
      'a proxy without its coordinator',
      () => httpServer((response) => response.writeHead(502).end()),
      /--url .*: a proxy answers there, but it does not reach a coordinator \(HTTP 502 Bad Gateway\)$/m,
    ],
    [
      'a coordinator that rejects the connection, in its own words',
      () =>
        httpServer((response) =>
          response.writeHead(403, { 'content-length': sentence.length + 1 }).end(`${sentence}\n`),
        ),
      new RegExp(`--url .*: ${sentence}`),
    ],
    [
      'a WebSocket server that speaks no subprotocol',
      () => webSocketServer(() => {}, []),
      /a WebSocket server answers there, .*not speak lockstep\.v1/,
    ],
    [
      'a WebSocket server that speaks only another subprotocol',
      () => webSocketServer(() => {}, ['chat']),
      /a WebSocket server answers there, .*not speak lockstep\.v1/,
    ],
    [
      'a coordinator that refuses its protocol version',
      () => webSocketServer(refuse, [subprotocol]),
      /the coordinator at .* refused: this coordinator speaks version 2/,
    ],
  ])('at %s', async (_what, port, message) => {
    await expectFailure(['--url', `ws://127.0.0.1:${await port()}`], message);
  });

  it('at a coordinator whose token it does not have, and joins with it', async () => {
    const url = await coordinator(['--token', 'abc', '--steps', '2']);
    const message = /the coordinator at .* refused: the token is not the one in the join address/;
    await expectFailure(['--url', url], /refused: this run requires a token: copy the whole address/);
    await expectFailure(['--url', url, '--token', 'abd'], message);
    await expectFailure(['--url', `${url.replace('ws', 'http')}/#join&token=abd`], message);
    await expectFailure(['--url', `${url}/?token=abcabc`], message);
    await expectFailure(['--url', url], message, { LOCKSTEP_TOKEN: 'ab' });
    // The address for browsers, which a person may copy by mistake.
    const joined = startWorker(['--url', `${url.replace('ws', 'http')}/#join&token=abc`, '--name', 'guest']);
    const { code, stderr } = await joined.ended;
    expect(code).toBe(0);
    expect(stderr).toContain('worker guest: joined as w1, computing on ');
    expect(stderr).not.toContain('abc');
  });
});

describe('a coordinator', () => {
  it.each([0, protocolVersion + 1])('refuses a worker of protocol version %i with a message', async (protocol) => {
    const client = await openRawClient(await coordinator());
    client.send({ ...hello, protocol });
    expect(await client.next('refuse')).toMatchObject({
      code: 'protocol',
      message: expect.stringMatching(`version ${protocolVersion}, the worker speaks ${protocol}: run the same`),
    });
    expect((await client.closed).code).toBe(1008);
  });
});
