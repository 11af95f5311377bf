/** Loads what writes the final model, while the coordinator that serves it is still there. */
type FinalModel = typeof import('./final-model.ts');

let loading: Promise<FinalModel> | undefined;

/** @throws Error where the coordinator that serves the code has gone before it was loaded */
export function loadFinalModel(): Promise<FinalModel> {
  loading ??= import('./final-model.ts').catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}
