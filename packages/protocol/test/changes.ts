/** Waits for conditions that are checked again after each change. */
export class Changes {
  readonly #waiting = new Set<() => void>();

  /** Checks every awaited condition. */
  readonly noted = (): void => {
    for (const check of [...this.#waiting]) check();
  };

  /** Resolves with the first value that is neither undefined nor false; rejects with an error that is thrown. */
  until<Value>(find: () => Value | undefined | false): Promise<Value> {
    return new Promise((resolve, reject) => {
      const check = (): void => {
        try {
          const value = find();
          if (value === undefined || value === false) return;
          resolve(value);
        } catch (error) {
          reject(error);
        }
        this.#waiting.delete(check);
      };
      this.#waiting.add(check);
      check();
    });
  }
}
