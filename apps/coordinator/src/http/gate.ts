/** How many sockets there may be, of workers and of viewers, in all and from one address. */

export interface SocketLimits {
  readonly workers: number;
  readonly viewers: number;
  /** Of either kind, from one address. Behind one router a whole room has one. */
  readonly perAddress: number;
}

export const defaultSocketLimits: SocketLimits = { workers: 320, viewers: 256, perAddress: 512 };

export type SocketKind = 'workers' | 'viewers';

export interface Gate {
  readonly counts: Readonly<Record<SocketKind, number>>;
  /** Lets a socket in and returns how to let it out, or says in a sentence why not. */
  enter(kind: SocketKind, address: string): (() => void) | string;
}

export function createGate(limits: SocketLimits): Gate {
  const counts = { workers: 0, viewers: 0 };
  const byAddress = new Map<string, number>();
  return {
    counts,
    enter(kind, address) {
      if (counts[kind] >= limits[kind])
        return `the room is full: no more than ${limits[kind]} ${kind} may be connected`;
      const before = byAddress.get(address) ?? 0;
      if (before >= limits.perAddress) {
        return `the room is full: no more than ${limits.perAddress} connections may come from one address`;
      }
      counts[kind] += 1;
      byAddress.set(address, before + 1);
      let isOut = false;
      return () => {
        if (isOut) return;
        isOut = true;
        counts[kind] -= 1;
        const left = (byAddress.get(address) ?? 1) - 1;
        if (left === 0) byAddress.delete(address);
        else byAddress.set(address, left);
      };
    },
  };
}
