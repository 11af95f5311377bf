/** Loads the code that writes the final model while the coordinator still serves it. */
type FinalModel = typeof import('./final-model.ts');

let loading: Promise<FinalModel> | undefined;

/** @throws Error if the coordinator that serves the code is gone before it is loaded */
export function loadFinalModel(): Promise<FinalModel> {
  loading ??= import('./final-model.ts').catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}
