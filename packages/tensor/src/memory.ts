/** Ownership of storages: counted handles, and scopes that dispose of all they did not return. */
import type { Backend, Storage } from './backend.ts';

/** A storage shared by tensors that view it whole; freed with the last of them, unless borrowed. */
export class Memory {
  readonly backend: Backend;
  readonly storage: Storage;
  readonly #owned: boolean;
  #handles = 0;

  constructor(backend: Backend, storage: Storage, owned: boolean) {
    this.backend = backend;
    this.storage = storage;
    this.#owned = owned;
  }

  retain(): void {
    this.#handles++;
  }

  release(): void {
    this.#handles--;
    if (this.#handles === 0 && this.#owned) this.backend.free(this.storage);
  }
}

export interface Disposable {
  dispose(): void;
}

const scopes: Set<Disposable>[] = [];

/** Enters a newly made resource into the innermost scope, if there is one. */
export function enterScope(resource: Disposable): void {
  scopes.at(-1)?.add(resource);
}

/** Takes a resource out of every scope: from now on its owner disposes of it. */
export function leaveScopes(resource: Disposable): void {
  for (const scope of scopes) scope.delete(resource);
}

/**
 * Runs `body` and disposes of every resource made in it but the survivors picked from its result.
 * Survivors pass to the surrounding scope. After a throw, everything made in it is disposed of.
 */
export function withScope<Result>(body: () => Result, survivors: (result: Result) => Iterable<Disposable>): Result {
  const scope = new Set<Disposable>();
  scopes.push(scope);
  let kept: Iterable<Disposable> = [];
  try {
    const result = body();
    kept = survivors(result);
    return result;
  } finally {
    scopes.pop();
    for (const resource of kept) if (scope.delete(resource)) enterScope(resource);
    for (const resource of scope) resource.dispose();
  }
}
