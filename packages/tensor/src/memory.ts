/** Ownership of storages: reference counts, and scopes that dispose of every resource they do not return. */
import type { Backend, Storage } from './backend.ts';

/** A storage shared by tensors that each view all of it; freed with the last tensor, unless borrowed. */
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

/** Adds a newly made resource to the innermost scope, if there is one. */
export function enterScope(resource: Disposable): void {
  scopes.at(-1)?.add(resource);
}

/** Removes a resource from every scope: from then on its owner disposes of it. */
export function leaveScopes(resource: Disposable): void {
  for (const scope of scopes) scope.delete(resource);
}

/**
 * Runs `body` and disposes of every resource made in it, except the survivors picked from its result.
 * Survivors pass to the surrounding scope. If `body` throws, every resource made in it is disposed of.
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
