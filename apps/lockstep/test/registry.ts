/** A local registry that serves our packed packages, and redirects npm to the public one for all others. */
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { PackedPackage } from './packed.ts';

export const publicRegistry = 'https://registry.npmjs.org/';

export interface Registry {
  readonly url: string;
  close(): void;
}

export async function startRegistry(packages: readonly PackedPackage[]): Promise<Registry> {
  const byName = new Map(packages.map((one) => [one.name, one]));
  let url = '';
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname.slice(1));
    const archived = byName.get(path.replace(/^-\/(.*)\.tgz$/, '$1'));
    if (!archived) response.writeHead(302, { location: new URL(request.url ?? '/', publicRegistry).href }).end();
    else if (path.startsWith('-/')) response.end(archived.tarball);
    else sendJson(response, packument(archived, url));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return {
    url,
    close() {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A registry's answer about a package: https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md */
function packument({ name, manifest, tarball }: PackedPackage, url: string): object {
  const { version } = manifest;
  const integrity = `sha512-${createHash('sha512').update(tarball).digest('base64')}`;
  const dist = { tarball: `${url}-/${encodeURIComponent(name)}.tgz`, integrity };
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { ...manifest, dist } } };
}

function sendJson(response: ServerResponse, value: object): void {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
}

/** Why packages cannot be installed on this machine; undefined if they can. */
export async function registryFault(): Promise<string | undefined> {
  try {
    const { ok, status } = await fetch(`${publicRegistry}-/ping`, { signal: AbortSignal.timeout(10_000) });
    return ok ? undefined : `${publicRegistry} answers with ${status}`;
  } catch {
    return `${publicRegistry} cannot be reached`;
  }
}
