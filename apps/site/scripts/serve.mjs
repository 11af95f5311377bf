/** A server of static files on this machine, like any host's: it adds no header but the type. */
import { createReadStream, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { pipeline } from 'node:stream';

const types = {
  '.css': 'text/css; charset=utf-8',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.json': 'application/json',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
};

/** Serves a folder on 127.0.0.1 below `path`. @param port 0 for any free one */
export async function serve(folder, port = 0, path = '/') {
  const server = createServer(({ url = '/' }, response) => {
    const asked = decodeURIComponent(new URL(url, 'http://localhost').pathname);
    const below = asked.startsWith(path) ? normalize(asked.slice(path.length)).replaceAll('\\', '/') : '..';
    const file = join(folder, below === '.' || below.endsWith('/') ? join(below, 'index.html') : below);
    const stats = /^\.\.(\/|$)/.test(below) ? undefined : statSync(file, { throwIfNoEntry: false });
    if (!stats?.isFile()) return response.writeHead(404).end('Not found');
    const type = types[extname(file)] ?? 'application/octet-stream';
    response.writeHead(200, { 'content-type': type, 'content-length': stats.size });
    return pipeline(createReadStream(file), response, () => {});
  });
  await new Promise((resolve, reject) => {
    server.once('error', reject).listen(port, '127.0.0.1', resolve);
  });
  return {
    url: `http://127.0.0.1:${server.address().port}${path}`,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}
