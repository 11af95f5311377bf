/** The names under which a command line knows the library's options. */
import type { CoordinatorOptions } from './options.ts';

const names: Readonly<Record<string, keyof CoordinatorOptions>> = {
  initialWeights: 'init',
  verifyRate: 'verify-rate',
  'optimizer.type': 'optimizer',
  'optimizer.learningRate': 'lr',
  'optimizer.momentum': 'momentum',
  'optimizer.nesterov': 'nesterov',
  'optimizer.weightDecay': 'weight-decay',
  'optimizer.schedule': 'schedule',
  'optimizer.warmupSteps': 'warmup',
  'optimizer.clipNorm': 'clip',
  'diloco.replicas': 'replicas',
  'diloco.innerSteps': 'inner-steps',
  'diloco.learningRate': 'inner-lr',
  'diloco.momentum': 'inner-momentum',
  'listen.host': 'host',
  'listen.port': 'port',
  'listen.token': 'token',
  'listen.tls.cert': 'tls-cert',
  'listen.tls.key': 'tls-key',
  'listen.allowOrigins': 'allow-origin',
  'listen.waitForStart': 'wait-for-start',
  'checkpoint.folder': 'checkpoint',
  'checkpoint.every': 'checkpoint-every',
};

/** What a sentence about one of these names too: where the content came from. */
const withValue: readonly string[] = ['model', 'init', 'tls-cert', 'tls-key'];

/** Such as `--model FILE.json` for `model`. */
export function commandLineNames(options: CoordinatorOptions): (option: string) => string {
  return (option) => {
    const name = names[option] ?? option;
    const value = options[name as keyof CoordinatorOptions];
    return withValue.includes(name) ? `--${name} ${value}` : `--${name}`;
  };
}
