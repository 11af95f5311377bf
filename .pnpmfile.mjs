/** What a package's manifest becomes when it is packed: without what only the build in this repository needs. */

/** The condition by which tests here reach a package's sources; elsewhere they are there to be read. */
const developmentCondition = 'source';

function withoutDevelopment(exports) {
  if (typeof exports !== 'object' || exports === null) return exports;
  const kept = Object.entries(exports).filter(([condition]) => condition !== developmentCondition);
  return Object.fromEntries(kept.map(([condition, target]) => [condition, withoutDevelopment(target)]));
}

/**
 * `buildDependencies` names the `dependencies` that stand there because `npm start` builds with them, and installs no
 * `devDependencies`.
 */
function beforePacking(manifest) {
  const { buildDependencies = [], devDependencies: _, scripts: __, exports, dependencies = {}, ...rest } = manifest;
  const kept = Object.entries(dependencies).filter(([name]) => !buildDependencies.includes(name));
  const packed = { ...rest, exports: withoutDevelopment(exports) };
  if (kept.length > 0) packed.dependencies = Object.fromEntries(kept);
  return packed;
}

export const hooks = { beforePacking };
